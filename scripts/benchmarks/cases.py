"""The cases of the benchmark set."""

from attrs import field, frozen

HOT_PATH = ("mesaya-ws", "floor", "go", "websockets")
KAFKA = ("mesaya-ws kafka", "centrifugo kafka")


@frozen
class Case:
    """A load that all `servers` get in turn. `values` are those of a `Plan`; with --quick, `quick` is added to them.

    A case with `records` is none of clients: so many of them are read.
    """

    name: str
    meaning: str
    servers: tuple[str, ...]
    values: dict[str, object]
    quick: dict[str, object] | None = field(default=None)


CASES = {
    case.name: case
    for case in (
        Case(
            "paced",
            "1,000 clients of one channel, 100 events/s",
            HOT_PATH,
            {"connections": 1000, "rate": 100.0},
            {"duration": 6.0},
        ),
        Case(
            "wide",
            "10,000 clients of one channel, 10 events/s",
            HOT_PATH,
            {"connections": 10_000, "rate": 10.0},
            {"duration": 6.0},
        ),
        Case(
            "saturated",
            "1,000 clients of one channel, as fast as they take it",
            (*HOT_PATH, *KAFKA),
            {"connections": 1000, "rate": None},
            {"duration": 5.0},
        ),
        Case(
            "channels",
            "1,000 channels with one client each, 5,000 events/s",
            HOT_PATH,
            {"connections": 1000, "channels": 1000, "rate": 5000.0},
            {"duration": 5.0},
        ),
        Case(
            "channels-saturated",
            "1,000 channels with one client each, as fast as they take it",
            (*HOT_PATH, *KAFKA),
            {"connections": 1000, "channels": 1000, "rate": None, "outstanding": 2000},
        ),
        Case(
            "idle",
            "10,000 clients that come as fast as they are let in, and hear nothing",
            (*HOT_PATH, "centrifugo kafka"),
            {"connections": 10_000, "rate": 0.0, "duration": 1.0},
            {"connections": 4000},
        ),
        Case(
            "ingest",
            "a log that is read from its beginning, with nobody listening",
            ("mesaya-ws sqlite", "mesaya-ws kafka"),
            {"records": 200_000},
        ),
        Case(
            "end-to-end",
            "1,000 channels with one client each, 1,000 events/s through the log",
            ("mesaya-ws sqlite", *KAFKA),
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
    )
}
