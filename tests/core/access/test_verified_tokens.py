from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.verified_tokens import VerifiedTokens


def identity(user="u1", expires=1000.0):
    return Identity(user, (), None, expires)


def test_verified_token_is_remembered_until_it_expires():
    verified = VerifiedTokens(leeway=5)
    name = verified.name("token")
    verified.put(name, identity())
    assert verified.get(name, 1004.9) == identity()
    assert verified.get(verified.name("another"), 0) is None
    assert verified.get(name, 1005) is None
    assert len(verified) == 0


def test_verified_tokens_are_bounded_and_the_longest_unused_one_gives_way():
    verified = VerifiedTokens(leeway=5, remembered=3)
    names = [verified.name(str(number)) for number in range(4)]
    for name in names[:3]:
        verified.put(name, identity())
    verified.get(names[0], 0)
    verified.put(names[3], identity())
    assert [verified.get(name, 0) is not None for name in names] == [True, False, True, True]
    verified.clear()
    assert len(verified) == 0


def test_name_of_any_token_does_not_reveal_it():
    assert VerifiedTokens.name("\ud800") != VerifiedTokens.name("") == VerifiedTokens.name(b"")
    assert VerifiedTokens.name("a") == VerifiedTokens.name(b"a")
    assert b"secret" not in VerifiedTokens.name("secret")
