import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.access.permissions import may_subscribe

PUBLIC = [
    "restaurant:1:tables",
    "restaurant:1:menu",
    "restaurant:1:reviews",
    "restaurant:1:info",
    "global:restaurants",
    "global:announcements",
]
PRIVATE = ["restaurant:1:reservations", "user:1:notifications"]


@pytest.mark.parametrize("name", PUBLIC + PRIVATE)
@pytest.mark.parametrize("auth", [True, False])
def test_who_is_not_known_may_see_what_is_public_and_all_without_auth(name, auth):
    assert may_subscribe(parse_channel(name), auth=auth) is (name in PUBLIC or not auth)
