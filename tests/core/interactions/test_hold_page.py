"""The table of holds means of any records what the page says: two readings of it, which share no code."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mesaya_ws.core.interactions.hold import Granted
from mesaya_ws.core.interactions.hold_records import hold_record
from mesaya_ws.core.interactions.hold_table import HoldTable
from tests.core.interactions.test_hold_table import RECORDS, T
from tests.faults import hold_page
from tests.faults.log import Held

# What is forgotten ten minutes after its end, the second reading remembers.
STEPS = st.sampled_from([0, 1, 40, 60, 1000, -40, -1000])


@settings(max_examples=100)
@given(st.lists(st.tuples(RECORDS, STEPS), max_size=40))
def test_any_records_mean_what_the_second_reading_says(records):
    table, held, events, at = HoldTable(), [], [], T
    for offset, (record, step) in enumerate(records):
        at += step
        new = hold_record(record)
        held.append(Held(new.topic, 0, offset, at, new.value, 0, None))
        for hold, ended in table.apply(record, offset, at):
            events.append(("selecting" if ended is None else "released", hold.tables, ended))
    reading = hold_page.read(held)
    assert events == reading.events
    assert hold_page.wrong(reading) == []
    live = [(each.id, each.until, each.token, each.attached) for each in table.all_live()]
    assert live == [(each.id, each.until, each.token, each.attached) for each in reading.live()]
    for id, known in reading.outcomes.items():
        match table.outcome(id):
            case None:  # forgotten, long after
                continue
            case Granted(hold):
                assert (hold.id, hold.token) == (known.id, known.token)
            case refused:
                assert known == ("too_many" if refused.by is None else "conflict")
