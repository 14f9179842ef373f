from benchmarks.cases import CASES
from benchmarks.figures import markdown, middle
from benchmarks.servers import SERVERS
from load.plan import Plan


def test_the_median_of_turns_is_that_of_each_figure():
    turns = [{"p50 ms": 3.0, "lost": 0.0}, {"p50 ms": 1.0}, {"p50 ms": 2.0, "p99 ms": None}]
    assert middle(turns) == {"p50 ms": 2.0, "lost": 0.0}


def test_figures_of_others_are_multiples_of_the_first():
    page = markdown("paced", {"ours": {"p50 ms": 2.0, "lost": 0.0}, "go": {"p50 ms": 3.0, "lost": 1.0}})
    assert page.splitlines()[2:] == [
        "| | p50 ms | lost |",
        "|---|---:|---:|",
        "| ours | 2.00 | 0 |",
        "| go | 3.00 (1.50×) | 1 |",
    ]


def test_every_case_names_servers_and_makes_a_plan():
    for case in CASES.values():
        assert set(case.servers) <= set(SERVERS)
        Plan(run="x", **case.values)
        Plan(run="x", **{**case.values, **(case.quick or {})})
