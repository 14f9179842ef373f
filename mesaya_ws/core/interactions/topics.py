"""The topics that clients' interactions go through."""

CHAT = "mesa-ya.chat.events"
"""Chat between guests and restaurants, keyed by restaurant; other services may write there, too."""

HOLDS = "mesaya-ws.holds"
"""Topic of our own, of one partition: claims of tables, and what ends them."""

PRESENCE = "mesaya-ws.presence"
"""Topic of our own, of one partition, compacted by process: who is on which channel. It is followed by itself, beside
the others: nothing in it is published."""

ACKS = "mesaya-ws.acks"
"""Topic of our own, of one partition: which reservations have been acknowledged."""

APPEND_TIMES = frozenset({CHAT, ACKS, HOLDS})
"""The topics whose records' append times decide: producers' times are refused."""

ONE_PARTITION = frozenset({ACKS, HOLDS})
"""Those of them of which one partition decides: with several, each could have a winner."""
