"""What visits many sessions does so in steps, and these do not grow with what each of them is subscribed to."""

import pytest

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.events import Records
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.session.identity_changes import apply_rights_changes, end_revoked, run_due
from mesaya_ws.core.session.registry import SessionRegistry
from tests.core.replicas import Replica, SharedLog, send
from tests.steps import most_calls_in_a_step
from tests.support.instance import Owner

SUBSCRIPTIONS, SESSIONS = 100, 30
"""As many as a client may have; and clients of whom each takes a step or less."""

MOST_CALLS = 16_000
"""Calls of a step that takes some milliseconds: two sessions are ended in one, at most."""


@pytest.fixture
def replica():
    """Return an instance whose clients follow a hundred conversations each."""
    log = SharedLog()
    log.restaurant("r1", "o1")
    log.user("u1", "Ana")
    replica = Replica(log)
    for number in range(SESSIONS):
        session = replica.client("o1", "OWNER", most=SUBSCRIPTIONS)
        for guest in range(SUBSCRIPTIONS):
            send(session, channel=f"restaurant:r1:chat:u{guest}")
        assert len(session.subscriptions) == SUBSCRIPTIONS, number
    return replica


def check(steps):
    assert most_calls_in_a_step(steps) < MOST_CALLS


def test_tokens_that_end_at_once(replica):
    for session in replica.sessions:
        replica.identities.deadlines.set(session, 1.0)
        session.identity = Identity("o1", ("OWNER",), 0.0, 1.0)
    check(run_due(replica.identities, 100.0))
    assert not any(session.subscriptions for session in replica.sessions)


def test_tokens_of_a_user_that_are_revoked(replica):
    check(end_revoked(replica.identities, ["o1"], lambda user, issued: True, 1.0))
    assert not any(session.subscriptions for session in replica.sessions)


@pytest.mark.parametrize("lost", [1, 3])
def test_records_that_the_log_has_lost(replica, lost):
    registry = SessionRegistry()
    for session in replica.sessions:
        registry.add(Owner(session))
    topics = [CHAT, *map(topic_of, ("tables", "menus"))][:lost]
    check(registry.resync([(topic, Unrecoverable.EXPIRED) for topic in topics]))
    assert all(session.delivery.to_render for session in replica.sessions)


def test_restaurant_that_becomes_somebody_elses(replica):
    log, feed = replica.log, replica.feed
    log.restaurant("r1", "o2", "updated")
    feed.ingest(Records(None, log.records[-1:], 0), log.now)
    for _ in feed.process(log.now):
        check(apply_rights_changes(replica.identities, feed.progress.take_rights_changes()))
    assert not any(session.subscriptions for session in replica.sessions)
