import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import KINDS, LONGEST_NAME, parse_channel, restaurant_channel, user_channel


@pytest.mark.parametrize(
    ("name", "kind", "subject"),
    [
        ("restaurant:123:reservations", "reservations", "123"),
        (
            "restaurant:b18ccb5f-6beb-48b0-885a-3eca7d2d552c:tables",
            "tables",
            "b18ccb5f-6beb-48b0-885a-3eca7d2d552c",
        ),
        ("restaurant:1:menu", "menu", "1"),
        ("restaurant:1:reviews", "reviews", "1"),
        ("restaurant:1:info", "info", "1"),
        ("user:a.b~c_d-E:notifications", "notifications", "a.b~c_d-E"),
        ("global:announcements", "announcements", None),
        ("global:restaurants", "restaurants", None),
    ],
)
def test_channels_of_the_platform(name, kind, subject):
    channel = parse_channel(name)
    assert (channel.name, channel.kind.name, channel.subject) == (name, kind, subject)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        "restaurant",
        "restaurant:1",
        "restaurant::tables",
        "restaurant:1:tables:",
        "restaurant:1:tables:x",
        "restaurant:1:notifications",
        "restaurant:1:TABLES",
        "Restaurant:1:tables",
        "restaurant:a b:tables",
        "restaurant:é:tables",
        "restaurant:1\n:tables",
        f"restaurant:{'x' * 129}:tables",
        "user:1:reservations",
        "global:tables",
        "global::announcements",
        " global:announcements",
    ],
)
def test_no_channel_has_such_a_name(name):
    assert parse_channel(name) is None


@given(st.from_regex(r"[A-Za-z0-9._~-]{1,128}", fullmatch=True))
def test_every_id_of_the_grammar_makes_channels(subject):
    for kind in ("reservations", "tables", "menu", "reviews", "info"):
        assert parse_channel(restaurant_channel(subject, kind)).subject == subject
    assert parse_channel(user_channel(subject)).subject == subject


@given(st.text())
def test_parsing_is_total(name):
    channel = parse_channel(name)
    assert channel is None or channel.name == name


def test_last_part_of_a_name_is_its_kind():
    assert KINDS.keys() == {kind.name for kind in KINDS.values()}
    assert len(KINDS) == 10


def test_channel_that_was_just_parsed_is_shared():
    name = restaurant_channel("r1", "menu")
    assert parse_channel(name) is parse_channel(f"{name} "[:-1])


def test_longest_name_of_a_channel_is_within_what_is_parsed():
    longest = restaurant_channel("a" * 128, "reservations")
    assert parse_channel(longest).name == longest
    assert len(longest) < LONGEST_NAME


def test_names_too_long_for_any_channel_are_not_remembered():
    tracemalloc.start()
    try:
        for number in range(500):
            assert parse_channel(str(number).rjust(10_000)) is None
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000
