from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.rights_changes import TOPICS_OF_FACTS, RightsChange, at_stake
from mesaya_ws.core.feed.router import process
from mesaya_ws.core.platform.envelope import AUTH
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.topics import TOPICS
from tests.support.log import event, record, user

RESTAURANTS, USERS, REQUESTS = ("R", "S"), ("u", "v", "w"), ("q", "p")


def takes(platform, understood):
    """Apply an event as the feed does; return whose rights it has changed."""
    before = None if understood.entity == AUTH else platform.lookup(understood).data
    stakes = at_stake(understood, before, platform)
    process(understood, platform)
    return stakes.changes(platform) if stakes else None


def facts(platform):
    """Return all that rights depend on."""
    owners = {
        f"restaurant:{id}:{kind}": platform.owner_of(id) for id in RESTAURANTS for kind in ("reservations", "chats")
    }
    return owners, {id: platform.roles_of(id) for id in USERS}


def test_owner_that_changes_concerns_the_channels_of_owners():
    platform = Projections()
    channel = ("restaurant:R:reservations", "restaurant:R:chats")
    assert takes(platform, event("restaurant.created", "R", ownerId="u")) == RightsChange(channel)
    assert takes(platform, event("restaurant.updated", "R", ownerId="u", name="x")) is None
    assert takes(platform, event("restaurant.updated", "R", ownerId="v")) == RightsChange(channel, ("u",))
    assert takes(platform, event("restaurant.deleted", "R")) == RightsChange(channel, ("v",))
    assert takes(platform, event("restaurant.deleted", "R")) is None


def test_request_that_is_approved_concerns_its_restaurant():
    platform = Projections()
    takes(platform, event("restaurant.created", "R", ownerId="u"))
    requested = event("owner_upgrade.created", "q", userId="v", status="PENDING", assignedRestaurantId="R")
    assert takes(platform, requested) is None
    # Which restaurant it is, the later record does not repeat.
    approved = event("owner_upgrade.status_changed", "q", userId="v", status="APPROVED")
    # Whoever owned it before may be subscribed to any of its conversations.
    assert takes(platform, approved) == RightsChange(("restaurant:R:reservations", "restaurant:R:chats"), ("u",))
    assert platform.owner_of("R") == "v"


def test_owner_that_the_platforms_api_says_concerns_the_restaurant():
    platform = Projections()
    found = event("restaurant.found", "R", ownerId="u")
    assert takes(platform, found) == RightsChange(("restaurant:R:reservations", "restaurant:R:chats"))
    assert takes(platform, found) is None


def test_roles_concern_all_channels_of_the_user():
    platform = Projections()
    assert takes(platform, user("u", roles=("ADMIN",))) == RightsChange(users=("u",))
    assert takes(platform, user("u", "Ana", roles=("ADMIN",))) is None
    assert takes(platform, user("u", "Ana", roles=())) == RightsChange(users=("u",))


def test_other_events_concern_nobodys_rights():
    platform = Projections()
    for other in (event("reservation.created", "r", restaurantId="R"), event("table.created", "t", sectionId="s")):
        assert takes(platform, other) is None


def test_topics_of_facts_are_topics():
    assert set(TOPICS) | {"mesaya-ws.parents"} >= TOPICS_OF_FACTS
    assert record("restaurant.created", "R").topic in TOPICS_OF_FACTS
    assert record("owner_upgrade.created", "q").topic in TOPICS_OF_FACTS
    assert record("restaurant.found", "R").topic in TOPICS_OF_FACTS


USER = st.sampled_from(USERS)
RESTAURANT = st.sampled_from(RESTAURANTS)
EVENTS = st.one_of(
    st.builds(
        lambda what, name, owner: event(f"restaurant.{what}", name, **({"ownerId": owner} if owner else {})),
        st.sampled_from(["created", "updated", "status_changed", "deleted", "found"]),
        RESTAURANT,
        USER | st.none(),
    ),
    st.builds(
        lambda what, name, data: event(f"owner_upgrade.{what}", name, **data),
        st.sampled_from(["created", "status_changed"]),
        st.sampled_from(REQUESTS),
        st.fixed_dictionaries(
            {},
            optional={
                "userId": USER,
                "status": st.sampled_from(["PENDING", "APPROVED", "REJECTED"]),
                "assignedRestaurantId": RESTAURANT | st.none(),
            },
        ),
    ),
    st.builds(lambda name, roles: user(name, roles=tuple(roles)), USER, st.lists(st.sampled_from(["ADMIN", "USER"]))),
    st.builds(lambda name, restaurant: event("reservation.created", name, restaurantId=restaurant), USER, RESTAURANT),
)


@given(st.lists(EVENTS, max_size=25))
def test_whatever_happens_every_change_of_a_fact_is_named_and_no_other(events):
    platform = Projections(remembered=1)
    for understood in events:
        owners, roles = facts(platform)
        change = takes(platform, understood) or RightsChange()
        owners_now, roles_now = facts(platform)
        assert set(change.channels) == {name for name in owners if owners[name] != owners_now[name]}
        losers = {owners[name] for name in owners if owners[name] != owners_now[name]} - {None}
        assert set(change.users) == {id for id in roles if roles[id] != roles_now[id]} | losers
