import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.wire.addresses import MAX_PROXIES, TrustedProxies, address_key, parse_address

PROXIES = TrustedProxies(["10.0.0.0/8", "127.0.0.1", "2001:db8:ffff::/48"])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_address_is_read_in_every_form_that_proxies_write(text, address):
    assert str(parse_address(text)) == address


@pytest.mark.parametrize("text", ["", "unknown", "_hidden", "a.example", "1.2.3", "1.2.3.4.5", "[::1", "x" * 10_000])
def test_what_is_no_address_is_none(text):
    assert parse_address(text) is None


@given(st.text(max_size=120))
def test_any_text_is_an_address_or_none(text):
    address = parse_address(text)
    assert address is None or parse_address(str(address)) == address


@given(st.ip_addresses(v=6))
def test_key_is_the_same_for_all_that_one_client_can_have(address):
    neighbour = type(address)(int(address) ^ 0xFFFF)
    if address.ipv4_mapped is None and neighbour.ipv4_mapped is None:
        assert address_key(str(address)) == address_key(str(neighbour))
        assert address_key(str(address)) != address_key(str(type(address)(int(address) ^ (1 << 64))))


def test_key_of_an_ipv4_address_is_itself_however_it_is_written():
    assert address_key("192.0.2.1") == address_key("::ffff:192.0.2.1") == "192.0.2.1"


def test_key_does_not_depend_on_the_zone():
    assert address_key("fe80::1%eth0") == address_key("fe80::2%eth1") == "fe80::/64"


@pytest.mark.parametrize(("host", "is_trusted"), [("10.1.2.3", True), ("11.1.2.3", False), ("::ffff:10.0.0.1", True)])
def test_proxies_are_trusted_by_address(host, is_trusted):
    assert PROXIES.trusts(host) is is_trusted
    assert not TrustedProxies([]).trusts(host)


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("198.51.100.7, 192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1:4711, 10.0.0.2,127.0.0.1", "192.0.2.1"),
        ("192.0.2.1, [2001:db8:ffff::1]:80", "192.0.2.1"),
        ("10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
        ("unknown", "10.0.0.1"),
        ("", "10.0.0.1"),
        (",", "10.0.0.1"),
    ],
)
def test_client_is_the_rightmost_address_that_is_not_trusted(forwarded_for, client):
    assert PROXIES.client_of("10.0.0.1", forwarded_for) == client


def test_proxies_in_a_row_are_read_up_to_a_bound():
    chain = ", ".join(["192.0.2.1", *(f"10.0.1.{number}" for number in range(MAX_PROXIES))])
    assert PROXIES.client_of("10.0.0.1", chain) == "10.0.1.0"
    assert PROXIES.client_of("10.0.0.1", chain.replace(", 10.0.1.0", "")) == "192.0.2.1"


@given(st.text(max_size=60), st.text(alphabet="0123456789., :[]abcdef", max_size=60))
def test_what_a_client_claims_does_not_change_where_it_is(claim, more):
    assert PROXIES.client_of("10.0.0.1", f"{claim}{more}, 192.0.2.1, 10.0.0.2") == "192.0.2.1"
