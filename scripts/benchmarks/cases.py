"""The cases of the benchmark set."""

from attrs import frozen

HOT_PATH = ("mesaya-ws", "floor", "go", "websockets")
KAFKA = ("mesaya-ws kafka", "centrifugo kafka")
LOGS = ("mesaya-ws sqlite", *KAFKA)


@frozen
class Case:
    """A load that all `servers` get in turn. `values` are those of a `Plan`; with --quick, `quick` is added to them.

    A case with `records` is none of clients: logs that hold so many are read by a gateway that starts.
    """

    name: str
    meaning: str
    servers: tuple[str, ...]
    values: dict[str, object]
    quick: dict[str, object] | None = None
    records: tuple[int, ...] = ()


CASES = {
    case.name: case
    for case in (
        Case(
            "paced",
            "1,000 clients of one channel, 100 events/s",
            (*HOT_PATH, *KAFKA),
            {"connections": 1000, "rate": 100.0},
            {"duration": 4.0},
        ),
        Case(
            "wide",
            "10,000 clients of one channel, 10 events/s",
            (*HOT_PATH, *KAFKA),
            {"connections": 10_000, "rate": 10.0},
            {"connections": 3000, "duration": 4.0},
        ),
        Case(
            "saturated",
            "1,000 clients of one channel, as fast as they take it",
            (*HOT_PATH, *KAFKA),
            {"connections": 1000, "rate": None},
            {"duration": 3.0},
        ),
        Case(
            "workers",
            "5,000 clients of one channel, 60 events/s; they look 5 times a second, to leave cores free",
            ("mesaya-ws sqlite", "mesaya-ws sqlite, 2 workers", "mesaya-ws kafka", "mesaya-ws kafka, 2 workers"),
            {"connections": 5000, "rate": 60.0, "nap": 0.2},
        ),
        Case(
            "channels",
            "1,000 channels with one client each, 5,000 events/s",
            HOT_PATH,
            {"connections": 1000, "channels": 1000, "rate": 5000.0},
            {"duration": 4.0},
        ),
        Case(
            "channels-saturated",
            "1,000 channels with one client each, as fast as they take it",
            HOT_PATH,
            {"connections": 1000, "channels": 1000, "rate": None, "outstanding": 2000},
        ),
        Case(
            "idle",
            "10,000 clients that receive nothing",
            (*HOT_PATH, "trio-websocket", "centrifugo kafka"),
            {"connections": 10_000, "rate": 0.0, "duration": 1.0},
        ),
        Case(
            "handshakes",
            "5,000 clients that come as fast as they are let in",
            (
                *("mesaya-ws sqlite", "mesaya-ws sqlite, 2 workers", "floor", "go"),
                *("websockets", "trio-websocket", "centrifugo kafka"),
            ),
            {"connections": 5000, "rate": 0.0, "duration": 1.0},
            {"connections": 2000, "duration": 0.5},
        ),
        Case(
            "backlog",
            "50,000 events on 1,000 channels with one client each, that came while the server stood still",
            LOGS,
            {"connections": 1000, "channels": 1000, "backlog": 50_000},
            {"backlog": 20_000},
        ),
        Case(
            "no-subscriber",
            "the same, but only one of the channels has a client",
            LOGS,
            {"connections": 1, "channels": 1000, "backlog": 50_000},
        ),
        Case(
            "end-to-end",
            "1,000 channels with one client each, 1,000 events/s through the log",
            LOGS,
            {"connections": 1000, "channels": 1000, "rate": 1000.0},
        ),
        Case(
            "storm",
            "10,000 clients cut at once; they resume while 1,000 events/s go on",
            ("mesaya-ws sqlite", "mesaya-ws kafka"),
            {
                "connections": 10_000,
                "channels": 1000,
                "rate": 1000.0,
                "storm": True,
                "away": 2.0,
                "bystanders": 100,
                "duration": 30.0,
            },
        ),
        Case(
            "ready",
            "from the start of a gateway until it is ready, on logs of that many records; from a checkpoint; from disk",
            ("mesaya-ws sqlite", "mesaya-ws kafka"),
            {},
            records=(10_000, 100_000, 1_000_000),
        ),
        Case(
            "ready-long",
            "the same, on a log of 5 million records",
            ("mesaya-ws sqlite",),
            {},
            records=(5_000_000,),
        ),
    )
}
