import json

import pytest

REVIEWS = "mesa-ya.reviews.events"
RESTAURANT = {"event_type": "created", "data": {"id": "R", "name": "La Mesa", "ownerId": "o"}}


def line(domain, value, **more):
    return json.dumps({"topic": f"mesa-ya.{domain}.events", "value": value, **more}) + "\n"


def review(id, rating):
    return {"event_type": "created", "entity_id": id, "data": {"id": id, "restaurantId": "R", "rating": rating}}


def booking(id, user):
    return {"event_type": "created", "data": {"id": id, "restaurantId": "R", "userId": user, "status": "PENDING"}}


@pytest.fixture
def explained(run):
    lines = [
        line("restaurants", RESTAURANT),
        line("reviews", review("v1", 5)),
        line("reviews", review("v2", 4), key="k"),
        line("reviews", review("v1", 1)),
        line("reservations", booking("b1", "u1")),
        line("reservations", booking("b2", "u2")),
    ]
    assert run("produce", "-", stdin="".join(lines)).exit_code == 0

    def explain(*arguments, stdin=None):
        result = run("explain", *arguments, stdin=stdin)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return explain


def test_record_of_the_log_is_explained_by_what_came_before_it(explained):
    first = explained("--topic", REVIEWS, "--offset", "0")
    third = explained("--topic", REVIEWS, "--offset", "2")
    assert (first["applied"]["existed"], third["applied"]["existed"]) == (False, True)
    assert third["applied"]["changed"]["rating"] == {"before": 5, "after": 1}
    assert [message["type"] for message in third["messages"]] == ["review.updated"]
    assert explained("--topic", REVIEWS, "--offset", "1")["key"] == "k"


def test_record_of_a_file_is_explained_as_the_next_one(explained, tmp_path):
    (tmp_path / "record.json").write_text(line("reviews", review("v2", 2)))
    for arguments, stdin in ((("record.json",), None), (("-",), line("reviews", review("v2", 2)))):
        found = explained(*arguments, stdin=stdin)
        assert found["applied"]["changed"]["rating"] == {"before": 4, "after": 2}
        assert "offset" not in found


def test_last_event_of_a_type_or_an_entity_is_explained(explained):
    assert explained("--event", "review.created")["understood"]["id"] == "v2"
    assert explained("--event", "v1")["offset"] == 2
    assert explained("--event", "reservation.created")["understood"]["id"] == "b2"
    mine = explained("--event", "reservation.created", "--user", "u1")
    assert mine["understood"]["id"] == "b1"
    assert [message["seenByUser"] for message in mine["messages"]] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ((), 2, "Name a FILE"),
        (("--topic", REVIEWS), 2, "Name a FILE"),
        (("--offset", "1", "--event", "x"), 2, "Name a FILE"),
        (("--topic", REVIEWS, "--offset", "9"), 1, "the log holds no such record"),
        (("--event", "review.deleted"), 1, "the log holds no such record"),
        (("-",), 2, "the file is not"),
    ],
)
def test_what_cannot_be_explained_gets_one_sentence(run, arguments, status, sentence):
    result = run("explain", *arguments, stdin="{}")
    assert result.exit_code == status
    assert sentence in result.stderr
