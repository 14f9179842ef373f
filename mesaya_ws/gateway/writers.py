"""What writes to the log for one gateway: what its clients send, and what it proposes by itself."""

import trio
from attrs import frozen

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.session.directory import SessionDirectory
from mesaya_ws.core.session.hold_rules import HoldRules
from mesaya_ws.core.session.session import Session
from mesaya_ws.gateway.appends import Appends
from mesaya_ws.gateway.holds import Holds
from mesaya_ws.gateway.reminders import Reminders
from mesaya_ws.gateway.resting_appends import RestingAppends
from mesaya_ws.settings import Settings


@frozen(kw_only=True, eq=False)
class Writers:
    """The writers of one gateway, each with a task of its own. `reminders` are None without ACK_REMIND."""

    appends: Appends
    resting: RestingAppends
    holds: Holds
    reminders: Reminders | None

    def on_record(self, record: Record, outcome: Outcome) -> None:
        """Take note of a record that was processed, and of what became of it: a client may wait for it."""
        if self.appends.waiting:  # seldom, and this is done for every record
            self.appends.on_record(record)
        self.holds.on_record(record, outcome)
        if self.reminders is not None:
            self.reminders.on_record(record, outcome)

    def progressed(self) -> None:
        """Answer, and inform, those who wait for records that may have been processed."""
        self.holds.progressed()
        self.appends.progressed()

    def start(self, nursery: trio.Nursery, live: trio.Event) -> None:
        """Start their tasks in a nursery; nothing is proposed before the feed is `live`."""
        nursery.start_soon(self.appends.run)
        nursery.start_soon(self.resting.run)
        nursery.start_soon(self.holds.run, live)
        if self.reminders is not None:
            nursery.start_soon(self.reminders.run, live)


def build_writers(
    settings: Settings, event_log: EventLog, feed: Feed, rules: HoldRules, directory: SessionDirectory[Session]
) -> Writers:
    """Build all writers; none of them runs yet. Sessions share the `rules` of holds; `directory` has their users."""
    holds = build_holds(event_log, feed, rules, directory, settings.hold_reconnect)
    appends = Appends(event_log, feed, on_place=holds.on_appended)
    return Writers(
        appends=appends,
        resting=RestingAppends(appends.append),
        holds=holds,
        reminders=Reminders(event_log, feed, settings.ack_remind) if settings.ack_remind else None,
    )


def build_holds(
    event_log: EventLog, feed: Feed, rules: HoldRules, directory: SessionDirectory[Session], reconnect: float
) -> Holds:
    """Build what proposes about holds: for the `rules`, and when a user of the `directory` comes or goes."""
    holds = Holds(event_log, feed, rules, directory, reconnect)
    rules.propose = holds.propose
    feed.states.log_time = rules.log_time
    directory.appeared, directory.vanished = holds.user_appeared, holds.user_vanished
    return holds
