import xml.etree.ElementTree as ET

from benchmarks.growth import draw

SVG = "{http://www.w3.org/2000/svg}"


def test_each_growth_has_a_line_through_its_points():
    picture = ET.fromstring(draw({"by channels": [(1000, 40.0), (100_000, 80.0)], "by <clients>": [(1, 0.5)]}))
    steep, dot = [
        [tuple(map(float, at.split(","))) for at in line.get("points").split()]
        for line in picture.iter(f"{SVG}polyline")
    ]
    assert steep[0][0] < steep[1][0]
    assert steep[0][1] > steep[1][1], "what costs more is higher"
    assert len(dot) == 1
    assert len(list(picture.iter(f"{SVG}circle"))) == 3
    texts = [text.text for text in picture.iter(f"{SVG}text")]
    assert {"by channels", "by <clients>", "1,000", "100,000"} <= set(texts)
