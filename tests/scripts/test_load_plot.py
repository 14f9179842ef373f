import xml.etree.ElementTree as ET

import pytest
from load.plot import plot
from load.totals import Moment

SVG = "{http://www.w3.org/2000/svg}"


def moment(at, deliveries, p50=1000, p99=5000, worst=9000):
    return Moment(at, deliveries, p50, p99, worst, 10)


def points(picture):
    return [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        for line in ET.fromstring(picture).iter(f"{SVG}polyline")
    ]


def test_lines_go_through_the_moments_and_stay_inside():
    throughput, *latencies = points(plot([moment(1, 0), moment(2, 50_000), moment(3, 100_000)], "a <title>"))
    assert len(throughput) == 3
    assert throughput[0][1] > throughput[1][1] > throughput[2][1]
    assert throughput[0][1] - throughput[1][1] == pytest.approx(throughput[1][1] - throughput[2][1])
    worst, p99, p50 = latencies
    assert worst[0][1] < p99[0][1] < p50[0][1]
    assert all(0 <= x <= 960 and 0 <= y <= 560 for line in [throughput, *latencies] for x, y in line)


def test_the_title_is_text_not_markup():
    assert "a &lt;title&gt;" in plot([moment(1, 1)], "a <title>")


@pytest.mark.parametrize("moments", [[], [moment(1, 0, None, None, None)], [moment(0.5, 0.1, 1, 1, 1)]])
def test_a_run_that_shows_little_can_be_drawn(moments):
    assert ET.fromstring(plot(moments, "x")).tag == f"{SVG}svg"


def test_moments_without_latency_are_left_out_of_its_lines():
    picture = plot([moment(1, 5), moment(2, 0, None, None, None), moment(3, 5)], "x")
    assert [len(line) for line in points(picture)] == [3, 2, 2, 2]
