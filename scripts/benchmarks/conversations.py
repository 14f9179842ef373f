"""What chat takes that is kept: `scripts/python scripts/benchmarks/conversations.py [--messages N --conversations M]`.

A feed reads N messages in M conversations, in any order, with a state store and as a gateway has it committed, in one
process. After each tenth it says what memory the process takes that is not of files (anonymous), what CPU a message
took with its part of the commits, the longest step, and the size of the file; at the end, what it takes to read a page
of a history, and both kinds of inboxes, and how long it takes another process to go on from the store.
"""

from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.records import Partition

BATCH = 100
SINCE = 1_700_000_000_000
DAYS = 20
"""Days over which all of it was written, by the times of the records."""

LARGE = 20_000
"""Conversations of the restaurant that has most."""

HERE = Partition(CHAT, 0)
WORDS = "is there a table on the terrace for four at eight we would like to sit outside".split()  # noqa: SIM905
