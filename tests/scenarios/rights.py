"""A platform whose log gives and takes rights, clients of it, and a second reading of who may see what."""

from math import inf

import orjson

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.interactions.chat_records import GUEST, ConversationKey, Said, chat_record
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.events import Records, TopicRecreated
from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.core.platform.envelope import platform_time
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.stored import read_pages
from mesaya_ws.core.session.authenticating import identify
from mesaya_ws.core.session.history import next_history_request, on_history
from mesaya_ws.core.session.identity_changes import apply_rights_changes
from mesaya_ws.core.session.opening import retry_waiting
from mesaya_ws.core.state.memory import MemoryState
from tests.support.instance import FakeServices, a_feed, a_session, commit, session_identities
from tests.support.log import NOW, Log

AUTH, CHATS = Partition(topic_of("auth"), 0), Partition(CHAT, 0)
T = NOW / 1000
DAY = "2027-02-01"


class Page:
    """What the table of rights says, read from the records once more, without the code that is tested."""

    def __init__(self):
        self.owners, self.roles = {}, {}

    def may(self, identity, channel):
        if identity is None:
            return False
        scope, subject, _, *guest = channel.split(":")
        changed, roles = self.roles.get(identity.user, (-inf, ()))
        if (identity.issued_at is not None and changed <= identity.issued_at * 1000) or changed == -inf:
            roles = identity.roles
        if "ADMIN" in roles:
            return True
        return identity.user in (subject if scope == "user" else self.owners.get(subject), *guest)


class Platform:
    """A log, what an instance makes of it, and what it has published on each private channel."""

    def __init__(self, max_bytes=1 << 24, steps=lambda: None):
        self.page, self.log, self.services = Page(), Log(), FakeServices()
        self.feed = a_feed(seconds=inf, max_bytes=max_bytes, parent_timeout=0.0, retention=Retention(100, 1 << 30))
        self.store = MemoryState()
        self.identities = session_identities()
        self.steps = steps
        self.now, self.number = NOW, 0
        self.sessions = []
        self.rights_changes = []
        self.log.ends[CHATS] = 0
        self.log.feed_into(self.feed)
        self.commit()

    def client(self, identity=None, most=20):
        session = a_session(self.feed, services=self.services, most=most, identities=self.identities)
        self.sessions.append(session)
        if identity is not None:
            assert identify(session, identity, self.now / 1000)
        return session

    # What the platform's services write

    def reservation(self, restaurant, guest="guest", size=0):
        self.number += 1
        data = {"restaurantId": restaurant, "userId": guest, "reservationTime": f"{DAY}T10:00:00Z", "status": "PENDING"}
        self.write(
            self.log.says("reservation.created", f"v{self.number}", timestamp=self._tick(), **data, note="x" * size)
        )

    def message(self, restaurant, guest="guest", size=0):
        """Have a guest say something to a restaurant."""
        self.number += 1
        said = Said(ConversationKey(restaurant, guest), f"m{self.number}", GUEST, guest, "?" + "x" * size)
        self.write(self._appended(CHATS, chat_record(said, platform_time(self._tick())).value))

    def owner(self, restaurant, user):
        what = "restaurant.updated" if restaurant in self.page.owners else "restaurant.created"
        said = self.log.says(what, restaurant, timestamp=self._tick(), ownerId=user)
        self.page.owners[restaurant] = user
        self.write(said)

    def delete(self, restaurant):
        said = self.log.says("restaurant.deleted", restaurant, timestamp=self._tick())
        self.page.owners.pop(restaurant, None)
        self.write(said)

    def roles(self, user, *roles):
        value = {"type": "user.roles_updated", "payload": {"userId": user, "roles": roles}}
        self._tick()
        said = self._appended(AUTH, orjson.dumps(value))
        self.page.roles[user] = (said.timestamp, roles)
        self.write(said)

    def _appended(self, partition, value):
        said = Record(*partition, self.log.ends[partition], self.now, None, value)
        self.log.ends[partition] += 1
        self.log.records.append(said)
        return said

    def _tick(self):
        self.now += 1000
        return self.now

    def recreate(self, domain):
        """Delete a topic and create it again: all that it said is forgotten."""
        topic = topic_of(domain)
        self.log.ids[topic] = "another"
        self.log.ends[Partition(topic, 0)] = 0
        self.log.records = [each for each in self.log.records if each.topic != topic]
        self.page.owners.clear()
        self.feed.ingest(TopicRecreated(topic, "another"), self.now)
        self.feed.ingest(self.log.sources(), self.now)
        self._process()

    # What the instance does

    def write(self, *records):
        """Have the instance process records, all in one go if it can, as the gateway does."""
        for record in records:
            self.feed.ingest(Records(Partition(record.topic, record.partition), [record], 0), self.now)
        self._process()

    def _process(self):
        for _ in self.feed.process(self.now):
            for _ in self.feed.hub.fan_out():
                pass
            self.steps()
            for session in self.sessions:
                for gap in self.feed.progress.gaps:
                    session.resync(*gap)
            self.feed.progress.gaps_announced()
            changes = self.feed.progress.take_rights_changes()
            self.rights_changes += changes
            for _ in apply_rights_changes(self.identities, changes):
                self.steps()
        self.commit()

    def look(self):
        """Have the instance look at the whole log."""
        self.feed.ingest(self.log.sources(), self.now)
        for _ in self.feed.process(self.now):
            pass

    def ahead(self):
        """Return another instance, which has read all of the log."""
        feed = a_feed(seconds=inf, max_bytes=1 << 24, parent_timeout=0.0)
        return self.log.feed_into(feed)

    def read_page(self, session):
        """Read what a session asks for next; return what it is to be answered with."""
        subscription, request = next_history_request(session.delivery)
        [page] = [None] if request is None else read_pages(self.store, [request])
        return subscription, page

    def commit(self):
        """Write to the store what has been published."""
        commit(self.feed, self.store, self.now, self.now)

    def rendered(self, session):
        """Return the snapshot that a session waits for."""
        snapshot = self.feed.states.snapshot(session.delivery.to_render)
        for _ in snapshot.write():
            pass
        return snapshot

    def finish(self, session):
        """Do all that a session waits for, until nothing is left."""
        for _ in range(100):
            session.send_queue.backlogged = session.send_queue.deferred = False
            session.delivery.resume()
            if session.delivery.awaits_history:
                on_history(session.delivery, *self.read_page(session))
            if session.delivery.to_render is not None:
                session.delivery.on_rendered(self.rendered(session))
            list(retry_waiting(session))
            if not session.delivery.unsettled:
                return
            self.look()
        raise AssertionError("it does not end")


def signed(user, roles=(), issued=T, until=10_000.0):
    return Identity(user, tuple(roles), issued, T + until)


def parsed(channel):
    return parse_channel(channel)
