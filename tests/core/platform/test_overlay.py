from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.platform.overlay import Overlay

KEYS = st.sampled_from("abcde")
CHANGES = st.lists(st.tuples(st.sampled_from(["put", "pop", "setdefault", "get"]), KEYS, st.integers()))


@given(st.dictionaries(KEYS, st.integers()), CHANGES)
def test_overlay_does_what_a_dict_does_and_leaves_what_is_beneath(beneath, changes):
    untouched, plain, overlay = dict(beneath), dict(beneath), Overlay(beneath, None)
    for what, key, value in changes:
        match what:
            case "put":
                plain[key] = overlay[key] = value
            case "pop":
                assert overlay.pop(key, None) == plain.pop(key, None)
            case "setdefault":
                assert overlay.setdefault(key, value) == plain.setdefault(key, value)
            case "get":
                assert overlay.get(key) == plain.get(key)
                assert (key in overlay) == (key in plain)
        assert dict(overlay) == plain
        assert len(overlay) == len(plain)
        assert bool(overlay) == bool(plain)
    assert beneath == untouched


def test_values_that_change_in_place_are_copied_when_they_are_taken():
    beneath = {"a": [1]}
    overlay = Overlay(beneath, list)
    overlay["a"].append(2)
    assert (beneath["a"], overlay["a"]) == ([1], [1, 2])
