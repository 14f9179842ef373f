"""The shape of the code: imports go one way, and what is fenced stays behind its fence."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mesaya_ws"
MODULES = sorted(PACKAGE.rglob("*.py"))

# cli → gateway → {accepting, acceptor, websocket, http_api, eventlog, workers} → core;
# the leaves may be used by all but core.
LEVELS = {
    "core": set(),
    "settings": {"core"},
    "environment": {"settings"},
    "interpreter": set(),
    "logs": {"log_limiter"},
    "log_limiter": set(),
    "clocks": set(),
    "descriptors": set(),
    "fairness": set(),
    "metrics": {"core"},
    "gauges": {"core"},
    "groups": set(),
    "dialling": {"core", "groups"},
    "client_events": set(),
    "client": {"core", "groups", "dialling", "client_events"},
    "eventlog": {"core", "settings", "logs", "metrics"},
    "websocket": {"core", "settings", "logs", "metrics", "fairness"},
    "http_api": {"core", "settings", "logs", "metrics"},
    "accepting": {"logs", "fairness"},
    "acceptor": {"core", "settings", "logs", "metrics"},
    "workers": {"core", "settings", "logs"},
    "history": {"core", "settings", "logs", "metrics", "interpreter", "clocks"},
    "scribe": {"core"},
    "state_topic": {"core"},
    "checkpoints": {"core", "settings", "logs", "metrics", "state_topic", "clocks"},
    "pump": {"core", "logs", "metrics", "interpreter", "websocket", "checkpoints", "clocks"},
    "platform_api": {"core", "settings", "logs", "metrics", "guarded_transport"},
    "guarded_transport": set(),
}
TOP = {"gateway", "cli", "__main__", "__init__"}

FENCES = {
    "hypercorn": {"http_api/serving.py"},
    "starlette": {"http_api"},
    "trio_websocket": {"websocket", "client.py", "dialling.py"},
    "kafka": {"eventlog/kafka"},
    "sqlite3": {"eventlog/sqlite/file.py", "eventlog/sqlite/reasons.py"},
    "prometheus_client": {"metrics.py", "gauges.py"},
    "httpx": {"platform_api.py", "guarded_transport.py"},
    "httpcore": {"guarded_transport.py"},
    "structlog": {"logs.py"},
    "click": {"cli"},
}
NOT_IN_CORE = {"trio", "socket", "os", "time", "asyncio", "threading", "random", "logging", "structlog"}


def imports(path):
    """Return the names of all modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "mesaya_ws"}
    return found


def room(path):
    """Return the folder or the module, one step below the package, that a file is in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_there_is_something_to_look_at():
    assert len(MODULES) > 20


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    if room(path) in TOP:
        return
    used = {name.split(".")[1] for name in imports(path) if name.startswith("mesaya_ws.")} - {"__version__"}
    allowed = LEVELS[room(path)] | {room(path)}
    # Whoever logs may do so within bounds.
    assert used <= allowed | ({"log_limiter"} if "logs" in allowed else set())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_fences(path):
    inside = path.relative_to(PACKAGE).as_posix()
    for name in {name.split(".")[0] for name in imports(path)} & FENCES.keys():
        assert any(inside == fence or inside.startswith(f"{fence}/") for fence in FENCES[name]), name


def exits(node):
    """Return whether a statement, or what is in it, ends the process."""
    calls = (ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call))
    return any(name in ("fail", "sys.exit", "exit", "SystemExit") for name in calls)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_exits_within_an_except_star_clause(path):
    """Python before 3.11.4 prints a traceback then; see `groups.only`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in (node for node in ast.walk(tree) if isinstance(node, ast.TryStar)):
        assert not any(exits(handler) for handler in node.handlers), f"line {node.lineno}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda path: path.name)
def test_core_knows_no_io_no_trio_and_no_clock(path):
    assert not {name.split(".")[0] for name in imports(path)} & NOT_IN_CORE
    calls = {
        ast.unparse(node.func).rpartition(".")[2]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    assert not calls & {"now", "utcnow", "today", "open", "print", "input"}
