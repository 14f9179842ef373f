"""The shape of the code: imports go one way, and what is fenced stays behind its fence."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mesaya_ws"
MODULES = sorted(PACKAGE.rglob("*.py"))

# By room, the rooms that it may import; what is not named here is `core` alone. Folders are read, not files.
ROOMS = {
    "cli": {"demo", "client", "gateway", "workers", "eventlog", "statestore", "environment", "settings", "runtime"},
    "gateway": {"server", "eventlog", "statestore", "workers", "environment", "settings", "runtime"},
    "workers": {"settings", "runtime"},
    "server": {"settings", "runtime"},
    "eventlog": {"settings", "runtime"},
    "statestore": set(),
    "client": {"runtime"},
    "demo": set(),
    "environment": {"settings"},
    "settings": {"runtime"},
    "runtime": set(),
    "core": set(),
}
# In core, each folder may import those after it; the last two nothing.
CORE = ("session", "feed", "views", "recovery", "access", "platform", "interactions", "state", "wire", "log")

TOP = {"__main__", "__init__"}

FENCES = {
    "hypercorn": {"server/http/serving.py"},
    "starlette": {"server/http"},
    "trio_websocket": {"server/websocket", "client"},
    "kafka": {"eventlog/kafka"},
    "sqlite3": {"eventlog/sqlite/database.py", "eventlog/sqlite/diagnosis.py"},
    "lmdb": {"statestore/store.py", "statestore/inspection.py"},
    "prometheus_client": {"runtime"},
    "httpx": {"gateway/answers.py", "gateway/platform_api.py", "gateway/jwks.py", "gateway/guarded_transport.py"},
    "httpcore": {"gateway/guarded_transport.py"},
    "structlog": {"runtime/logs.py"},
    "click": {"cli"},
    "jwt": {"core/access/keys.py", "cli/token.py"},
    "cryptography": {"core/access/keys.py"},
}
# What kafka-python offers; its other modules are its own, and private names of it are behind `eventlog/kafka/driver`.
KAFKA = PACKAGE / "eventlog/kafka"
OFFERED = {"kafka", "kafka.admin", "kafka.errors"}
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


def room(name):
    """Return the folder or the module, one step below the package, that a module is in."""
    return name.split(".")[1]


def name_of(path):
    """Return the dotted name of a module of ours."""
    parts = ("mesaya_ws", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def ours(path):
    """Return the modules of ours that a file imports, each with the room where it is."""
    return {name for name in imports(path) if name.startswith("mesaya_ws.") and name != "mesaya_ws.__version__"}


def test_modules_are_found():
    assert len(MODULES) > 20


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own not in TOP:
        assert {room(name) for name in ours(path)} <= ROOMS[own] | {own, "core"}


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "core").glob("*/*.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_imports_in_core_go_one_way(path):
    folder = path.parent.name
    beneath = set() if folder in ("wire", "log") else {*CORE[CORE.index(folder) + 1 :]}
    used = {name.split(".")[2] for name in ours(path)}
    assert used <= beneath | {folder}


def modules_of_ours(path, known):
    """Return the modules of ours that a file imports, by whichever form, and for type checking alone, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in known else node.module for name in names}
    return found & known


def circle(imported):
    """Return some modules each of which imports the next one, and the last one the first; empty if there are none."""
    left = {name: set(names) for name, names in imported.items()}
    while ends := {name for name, names in left.items() if not names & left.keys()}:
        left = {name: names for name, names in left.items() if name not in ends}
    way = [min(left)] if left else []
    while way and way[-1] not in way[:-1]:
        way.append(min(left[way[-1]] & left.keys()))
    return way[way.index(way[-1]) : -1] if way else []


def test_no_modules_import_each_other_in_a_circle():
    """Nor for type checking alone: what two files need of each other is one thing, or its narrow part lies below."""
    paths = {name_of(path): path for path in MODULES}
    known = paths.keys()
    assert circle({name: modules_of_ours(path, known) - {name} for name, path in paths.items()}) == []


def test_circle_of_modules_is_found():
    assert circle({"a": {"b", "d"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c"]
    assert circle({"a": {"b"}, "b": {"c", "a"}, "c": set()}) == ["a", "b"]
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []


PAGE = (PACKAGE.parent / "docs/architecture.md").read_text(encoding="utf-8")


def rows(heading):
    """Return the rows of the tables under a heading of the architecture's page."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in section.splitlines() if re.match(r"\| (?!-)", line)]


def test_every_room_is_on_the_page():
    named = {name for room in rows("Rooms") for name in re.findall(r"`([\w.]+)/?`", room[0])}
    folders = {
        path.name for path in (*PACKAGE.iterdir(), *(PACKAGE / "core").iterdir()) if (path / "__init__.py").exists()
    }
    assert folders - named == set()


@pytest.mark.parametrize(("change", "place"), [row for row in rows("Where a change goes") if row[0] != "change"])
def test_place_of_a_change_exists(change, place):
    """Paths are whole, from the package on, so that they can be opened."""
    files = re.findall(r"`([\w/.-]+\.(?:py|js|md)|[\w/]+/)`", place)
    assert files
    for name in files:
        assert (PACKAGE / name).exists() or (PACKAGE.parent / name).exists(), name


def test_every_path_on_the_page_exists():
    """Those of the drawings, too, which name modules without `.py`."""
    tops = "|".join(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists())
    names = re.findall(rf"(?<![\w/.])((?:{tops})/[\w/.-]*[\w/])", PAGE)
    assert len(names) > 100
    assert [
        name
        for name in names
        if not any((folder / each).exists() for folder in (PACKAGE, PACKAGE.parent) for each in (name, f"{name}.py"))
    ] == []


@pytest.mark.parametrize(
    "change",
    [
        "a close code",
        "a message that clients send",
        "a message of the service to the Python client",
        "a new kind of entity",
        "whether a client can resume",
        "how a snapshot is rendered",
        "Kafka's lag",
        "SIGTERM",
        "a setting",
        "a metric",
    ],
)
def test_page_says_where_a_change_goes(change):
    assert any(row[0].startswith(change) for row in rows("Where a change goes"))


def test_what_the_log_says_reaches_clients_by_their_sessions_alone():
    """Their connections are the server's: there may be other ways to a client than a WebSocket."""
    assert "server" not in {room(name) for name in ours(PACKAGE / "gateway" / "ingest.py")}


def test_core_has_these_folders_and_no_other_files():
    assert {path.name for path in (PACKAGE / "core").iterdir() if path.name != "__pycache__"} == {*CORE, "__init__.py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_fences(path):
    inside = path.relative_to(PACKAGE).as_posix()
    for name in {name.split(".")[0] for name in imports(path)} & FENCES.keys():
        assert any(inside == fence or inside.startswith(f"{fence}/") for fence in FENCES[name]), name


def is_private(name):
    # Those of named tuples begin so for another reason.
    return name.startswith("_") and not name.startswith("__") and name not in ("_replace", "_asdict", "_make")


def of_kafka_python(tree):
    """Yield, with its line, what a module takes from inside of kafka-python, or replaces in it."""
    offered = set()
    for node in ast.walk(tree):
        modules = [node.module] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        if any(name.split(".")[0] == "kafka" for name in modules):
            offered |= {alias.asname or alias.name for alias in node.names}
            yield from ((node.lineno, name) for name in modules if name not in OFFERED)
            yield from ((node.lineno, name) for name in names if is_private(name))
    for node in ast.walk(tree):
        # Whatever object it is of, but one's own: the driver's modules have no private names for others, either.
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if not isinstance(node.value, ast.Name) or node.value.id not in ("self", "cls"):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            if ast.unparse(node).split(".")[0] in offered:
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ClassDef):
            bases = (ast.unparse(base) for base in node.bases)
            yield from ((node.lineno, base) for base in bases if base.split(".")[0] in offered)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # By getattr, a patch or the name of a logger.
            if node.value.startswith("kafka.") and node.value.replace(".", "").isidentifier():
                yield node.lineno, node.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "delattr", "hasattr"):
            names = (name.value for name in node.args[1:2] if isinstance(name, ast.Constant))
            yield from ((node.lineno, name) for name in names if is_private(name))


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if KAFKA / "driver" not in path.parents and KAFKA in path.parents],
    ids=lambda path: path.name,
)
def test_only_the_driver_knows_kafka_python_from_inside(path):
    assert not list(of_kafka_python(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "text",
    [
        "admin._manager.run(ask)",
        "self._producer._sender.join()",
        "from kafka.future import Future",
        "import kafka.net.manager",
        "from kafka import _private",
        "from kafka import Serializer\nclass Keys(Serializer): ...",
        "from kafka import KafkaConsumer\nKafkaConsumer.poll = poll",
        "getattr(admin, '_manager')",
        "logging.getLogger('kafka.protocol.parser')",
    ],
)
def test_who_knows_kafka_python_from_inside_is_found(text):
    assert list(of_kafka_python(ast.parse(text)))


def exits(node):
    """Return whether a statement, or what is in it, ends the process."""
    calls = (ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call))
    return any(name in ("fail", "sys.exit", "exit", "SystemExit") for name in calls)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_exits_within_an_except_star_clause(path):
    """Python before 3.11.4 prints a traceback then; see `exceptions.only`."""
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
