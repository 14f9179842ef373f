"""What may happen to rights: services that write, two gateways, tokens of all kinds, visitors who ask for anything."""

import itertools
import json
import time
from collections.abc import Callable
from functools import partial
from operator import ne
from random import Random

import jwt
import trio

from mesaya_ws.core.log.records import NewRecord
from tests.support.gateway import Gateway, until
from tests.timing import PATIENCE

from .audit import Audit
from .log import Log
from .rights_page import CHAT, Claims, Page
from .visitors import Book, Connection, StreamVisitor, WebSocketVisitor

SECRET, LEEWAY = "a secret of thirty-two bytes or more", 3
SETTINGS = {"AUTH": "on", "JWT_SECRET": SECRET, "JWT_LEEWAY": str(LEEWAY), "PUBLISH_TOKEN": "publishing"}
SETTINGS |= {"MAX_CONNECTIONS_PER_USER": "0"}

RESTAURANTS, USERS, ROOT = ("r1", "r2", "r3"), ("ana", "ben", "eva", "rob"), "root"
MORTAL = "r3"
"""The restaurant that is deleted in the end."""
ANNOUNCEMENTS = "global:announcements"
PRIVATE = [f"restaurant:{restaurant}:{kind}" for restaurant in RESTAURANTS for kind in ("reservations", "chats")]
PRIVATE += [f"restaurant:{restaurant}:chat:{user}" for restaurant in RESTAURANTS for user in USERS]
PRIVATE += [f"user:{user}:{kind}" for user in USERS for kind in ("notifications", "chats")]

STEPS = 600


class Story:
    """What the platform's services, two gateways and visitors do, in an order that `random` chooses."""

    def __init__(self, log: Log, gateways: list[Gateway], seed: int) -> None:
        self.log, self.gateways, self.random, self.book = log, gateways, Random(seed), Book()
        self.owners: dict[str, str] = {}
        self.reservations: list[str] = []
        self.holds: list[str] = []
        self._numbers = itertools.count(1)
        self._issued = int(time.time()) - 5000
        self.watchers = [WebSocketVisitor(self.book) for _ in gateways]
        self.visitors = [WebSocketVisitor(self.book) for _ in range(8)]
        some = [tuple(self.random.sample(PRIVATE, 6)) for _ in range(6)]
        self.readers = [StreamVisitor(self.book, (ANNOUNCEMENTS, *channels)) for channels in some]

    # What the platform's services write

    def write(self, topic: str, **value: object) -> None:
        value["number"] = next(self._numbers)
        text = json.dumps({"timestamp": "2026-01-20T18:00:00.000Z", **value}).encode()
        self.book.written.append(text)
        trio.from_thread.run(self.log.write, [NewRecord(topic, text)])

    def entity(self, domain: str, what: str, id: str, metadata: dict[str, str] | None = None, **data: object) -> None:
        data["updatedAt"] = f"number {next(self._numbers)}"
        self.write(f"mesa-ya.{domain}.events", event_type=what, entity_id=id, data=data, metadata=metadata or {})

    def own(self, restaurant: str, user: str) -> None:
        said: dict[str, object] = {"name": restaurant, "ownerId": user}
        if restaurant in self.owners:
            reassigned = {"action": "owner_reassigned", "user_id": user}
            self.entity("restaurants", "updated", restaurant, reassigned, **said)
        else:
            self.entity("restaurants", "created", restaurant, **said)
        self.owners[restaurant] = user

    def change_rights(self) -> None:
        restaurant, user = self.random.choice([*self.owners]), self.random.choice(USERS)
        match self.random.randrange(5):
            case 0 | 1:
                self.own(restaurant, user)
            case 2:
                # Which says so without a record of the restaurant.
                request = {"userId": user, "status": "APPROVED", "assignedRestaurantId": restaurant}
                self.owners[restaurant] = user
                self.entity("owner-upgrade", "created", f"q{next(self._numbers)}", **request)
            case _:
                roles = self.random.choice([["USER"], ["ADMIN"], ["STAFF", "OWNER"], []])
                self.write("mesa-ya.auth.events", type="roles_updated", data={"id": user, "roles": roles})

    def happen(self) -> None:
        for _ in range(self.random.choice([1, 1, 2, 5])):
            restaurant, guest = self.random.choice([*self.owners]), self.random.choice(USERS)
            match self.random.randrange(6):
                case 0 | 1:
                    self.reservations.append(f"{restaurant}.b{next(self._numbers)}")
                    self.entity(
                        "reservations",
                        "created",
                        self.reservations[-1],
                        restaurantId=restaurant,
                        userId=guest,
                        tableId="t1",
                        reservationTime="2099-01-20T19:00:00.000Z",
                        status="PENDING",
                    )
                case 2 if self.reservations:
                    status = self.random.choice(["CONFIRMED", "CHECKED_IN", "COMPLETED"])
                    self.entity("reservations", "status_changed", self.random.choice(self.reservations), status=status)
                case 3 if self.reservations:
                    paid = {"reservationId": self.random.choice(self.reservations), "amount": 9.5}
                    self.entity("payments", "created", f"p{next(self._numbers)}", paymentStatus="PAID", **paid)
                case _:
                    side = self.random.choice(["guest", "restaurant"])
                    author = guest if side == "guest" else self.owners[restaurant]
                    said = {
                        "restaurantId": restaurant,
                        "userId": guest,
                        "from": side,
                        "authorId": author,
                        "text": "¿Sí?",
                    }
                    self.write(CHAT, event_type="message", entity_id=f"m{next(self._numbers)}", data=said)

    def announce(self) -> None:
        self.entity("announcements", "created", f"a{next(self._numbers)}", text="Hola")

    def hold(self) -> None:
        """Have a table held, by one gateway or the other, or have that end."""
        gateway = self.random.choice(self.gateways)
        bearer = {"Authorization": f"Bearer {SETTINGS['PUBLISH_TOKEN']}"}
        if self.holds and self.random.random() < 0.4:
            gateway.request(f"/holds/{self.holds.pop()}", method="DELETE", **bearer)
            return
        number, restaurant = next(self._numbers), self.random.choice([*self.owners])
        hold = {"user": f"walk-in-{number}", "restaurantId": restaurant, "holdId": f"{restaurant}.h{number}"}
        status, answer = gateway.publish({**hold, "tableIds": [f"t{number}"]}, "/holds")
        if status == 201:
            self.holds.append(hold["holdId"])
        else:  # it has still to read that there is such a restaurant, or has too much to do
            assert answer["error"]["code"] in ("unknown_restaurant", "log_unavailable"), answer

    # Tokens

    def token(self, *users: str) -> tuple[str, Claims | None]:
        """Return a token of one of some users, and what it says; a forged one says nothing, as does none at all."""
        random, now = self.random, time.time()
        user = random.choice(users or USERS)
        if random.random() < 0.1:
            return "", None
        if random.random() < 0.08:
            return jwt.encode({"iss": "mesaYA-auth", "sub": user, "exp": now + 99}, SECRET[::-1], "HS256"), None
        roles = random.choice([(), ("USER",), ("OWNER", "STAFF"), ("ADMIN",)])
        seconds = random.choice([3600, 3600, 3600, random.uniform(0, 6), -LEEWAY - 1])
        issued = random.choice([self.issued(), self.issued(), int(now) + 1, None])
        return signed(Claims(user, roles, issued, now + seconds))

    def issued(self) -> int:
        """Return a second of long ago, in which no other token was issued."""
        self._issued += 1
        return self._issued

    def revoke(self) -> None:
        """Revoke the tokens that a user has, and none of those that come."""
        user, before = self.random.choice(USERS), self.issued() + 0.5
        self._issued += 1
        numbers = self.random.sample(range(len(self.gateways)), self.random.choice([1, len(self.gateways)]))
        for number in numbers:
            said, at = {"user": user, "before": before}, Connection(0, number, "revocation")
            self.book.note(at, "revoking", said)
            asked = {"user": user, "before": int(before * 1000)}
            until(partial(self.has_revoked, self.gateways[number], asked), PATIENCE, "the tokens are revoked")
            self.book.note(at, "revoked", said)

    def has_revoked(self, gateway: Gateway, asked: dict[str, object]) -> bool:
        return gateway.publish(asked, "/revoke")[0] == 200

    # Visitors

    def come(self) -> None:
        visitor, number = self.random.choice(self.visitors), self.random.randrange(len(self.gateways))
        visitor.connect(number, self.gateways[number].url, *self.token(), as_protocol=self.random.random() < 0.5)
        visitor.ask("subscribe", channel=ANNOUNCEMENTS)
        for channel in self.random.sample(PRIVATE, 3) + self.random.sample(self.own_channels(visitor), 3):
            self.subscribe(visitor, channel)

    def own_channels(self, visitor: WebSocketVisitor) -> list[str]:
        """Return the channels that a visitor may see, if its token is good, and all has come to its gateway."""
        claims = visitor.connection.claims if visitor.connection is not None else None
        user = "nobody" if claims is None else claims.user
        own = [f"restaurant:{restaurant}:" for restaurant, owner in self.owners.items() if owner == user]
        return [each for each in PRIVATE if user in each or each.startswith(tuple(own))] or PRIVATE

    def subscribe(self, visitor: WebSocketVisitor, channel: str) -> None:
        asked: dict[str, object] = {}
        if channel in visitor.places and self.random.random() < 0.8:
            asked["position"] = visitor.places[channel]
        elif self.random.random() < 0.5:
            asked["snapshot"] = True
        if self.random.random() < 0.3:
            asked["presence"] = True
        visitor.ask("subscribe", channel=channel, **asked)

    def ask(self) -> None:
        visitor = self.random.choice(self.visitors)
        channel = (
            self.random.choice([*visitor.places] or PRIVATE)
            if self.random.random() < 0.5
            else self.random.choice(PRIVATE)
        )
        match self.random.randrange(9):
            case 0 | 7:
                before = visitor.connection.claims if visitor.connection is not None else None
                renews = before is not None and self.random.random() < 0.7
                token, claims = self.token(before.user) if renews else self.token()
                visitor.ask("auth", claims, token=token or None)
            case 1:
                visitor.ask("unsubscribe", channel=channel)
            case 2 if ":chat:" in channel:
                visitor.ask("history", channel=channel)
            case 3 if ":chat:" in channel:
                visitor.ask("publish", channel=channel, messageId=f"m{next(self._numbers)}", data={"text": "¡Hola!"})
            case 4 if ":chat:" in channel:
                visitor.ask("typing", channel=channel, typing=True)
            case 5 if self.reservations:
                visitor.ask("reservation.ack", reservationId=self.random.choice(self.reservations[-5:]))
            case 6:
                visitor.ask("ping")
            case _:
                self.subscribe(visitor, channel)

    def read(self) -> None:
        reader, number = self.random.choice(self.readers), self.random.randrange(len(self.gateways))
        query = {} if reader.id and self.random.random() < 0.8 else {"snapshot": "1"}
        reader.read(
            number, self.gateways[number].port, *self.token(), page=self.random.random() < 0.3, presence="1", **query
        )

    # The whole

    def run(self) -> Audit:
        try:
            return self._run()
        finally:
            for one in (*self.watchers, *self.visitors, *self.readers):
                one.leave()

    def _run(self) -> Audit:
        for restaurant, user in zip(RESTAURANTS, USERS, strict=False):
            self.own(restaurant, user)
        for number, watcher in enumerate(self.watchers):
            root = signed(Claims(ROOT, ("ADMIN",), None, time.time() + 3600))
            watcher.connect(number, self.gateways[number].url, *root)
            for channel in (ANNOUNCEMENTS, *PRIVATE):
                watcher.ask("subscribe", channel=channel)
        for reader in self.readers:
            reader.read(0, self.gateways[0].port, *self.token(), snapshot="1")
        often: list[Callable[[], None]] = [self.happen] * 7 + [self.ask] * 10 + [self.come] * 3 + [self.read] * 3
        often += [self.change_rights] * 4 + [self.announce, self.hold, self.hold, self.revoke]
        for step in range(STEPS):
            self.random.choice(often)()
            if step == STEPS * 3 // 4:
                del self.owners[MORTAL]
                for things in (self.reservations, self.holds):
                    things[:] = [each for each in things if not each.startswith(MORTAL)]
                self.entity("restaurants", "deleted", MORTAL)
            if step % 40 == 39:
                self.catch_up()
        self.announce()
        return self.settle()

    def catch_up(self) -> None:
        """Let the gateways come to where the log was a while ago, at least; so it is known that they have."""
        before = [watcher.places.get(ANNOUNCEMENTS) for watcher in self.watchers]
        self.announce()

        def go_on() -> bool:
            now = [watcher.places.get(ANNOUNCEMENTS) for watcher in self.watchers]
            return all(map(ne, before, now))

        until(go_on, PATIENCE, "both gateways have gone on")

    def settle(self) -> Audit:
        """Return what is to be said when everything has come to everybody, or will never."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for visitor in (*self.watchers, *self.visitors):
                visitor.ask("ping")
            time.sleep(0.3)
            audit = Audit(Page(trio.from_thread.run(self.log.read_back), self.book.written), self.book, LEEWAY)
            if audit.wrong or not audit.missing or time.monotonic() > deadline:
                return audit


def signed(claims: Claims) -> tuple[str, Claims]:
    """Return a token that says so, as the platform signs it."""
    said = {"iss": "mesaYA-auth", "sub": claims.user, "roles": claims.roles, "exp": claims.expires}
    if claims.issued is not None:
        said["iat"] = claims.issued
    return jwt.encode(said, SECRET, "HS256"), claims
