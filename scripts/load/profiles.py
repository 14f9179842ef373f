"""Named choices of what a run does."""

from attrs import frozen

from load.workload import USERS


@frozen
class Profile:
    """A named choice of a plan's values; the command line overrides them."""

    name: str
    meaning: str
    values: dict[str, object]


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("hot", "everybody on one channel", {"connections": 1000, "channels": 1, "rate": 100.0}),
        Profile("restaurants", "many restaurants, one each", {"connections": 5000, "channels": 1000, "rate": 1000.0}),
        Profile(
            "users",
            "a private channel for each",
            {"workload": USERS, "connections": 2000, "channels": 2000, "rate": 1000.0},
        ),
        Profile(
            "storm",
            "all are cut at once, and resume",
            {
                "connections": 10_000,
                "channels": 1000,
                "rate": 500.0,
                "storm": True,
                "away": 2.0,
                "bystanders": 100,
                "duration": 30.0,
            },
        ),
        Profile(
            "absence",
            "all are cut, and resume when what they missed has left a window of 10 s (WINDOW_SECONDS=10)",
            {
                "workload": USERS,
                "connections": 10_000,
                "channels": 1000,
                "rate": 500.0,
                "storm": True,
                "away": 20.0,
                "bystanders": 100,
                "duration": 60.0,
            },
        ),
        Profile(
            "cut",
            "each is cut every 15 s, and resumes",
            {
                "connections": 10_000,
                "channels": 1000,
                "rate": 500.0,
                "cut_every": 15.0,
                "bystanders": 100,
                "duration": 60.0,
            },
        ),
        Profile(
            "expiry",
            "private channels, whose tokens all end within the same minute",
            {
                "workload": USERS,
                "connections": 10_000,
                "channels": 1000,
                "rate": 500.0,
                "expiring": True,
                "lapsing": 100,
                "duration": 60.0,
            },
        ),
        Profile(
            "stopped",
            "in the second half, some come that read nothing",
            {"connections": 1000, "channels": 1, "rate": 100.0, "stopped": 10, "duration": 60.0},
        ),
    )
}
