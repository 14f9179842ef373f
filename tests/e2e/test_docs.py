"""Every block of README.md and docs/ is run here, or listed with the reason why not."""

import configparser
import json
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.e2e.client import connected
from tests.e2e.command import environment, produce, run, started
from tests.e2e.identity import SETTINGS, token
from tests.e2e.node import required, running_node
from tests.scripts.test_serve import Serving
from tests.support.gateway import until
from tests.timing import PATIENCE

ROOT = Path(__file__).parents[2]
PAGES = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SHOWN = [(name, language, text) for name, page in PAGES.items() for language, text in FENCED.findall(page)]
TOKEN = "a token of the tests"


def block(page: str, language: str, begins: str) -> str:
    """Return the one block of a page that is in this language, and begins so."""
    found = [text for name, kind, text in SHOWN if (name, kind) == (page, language) and text.startswith(begins)]
    assert len(found) == 1, (
        f"{len(found)} blocks of {page} are {language or 'plain'} and begin with {begins!r}, not one"
    )
    return found[0]


START = block("README.md", "sh", "scripts/serve")
WATCH = block("README.md", "sh", ".venv/bin/mesaya-ws tail")
SNIPPET = block("README.md", "javascript", "const ws")
SNIPPET_SHOWS = block("README.md", "json", '{ "type": "restaurant.status_changed"')
SUBPROTOCOLS = block("protocol.md", "js", "new WebSocket")
EVENT = block("protocol.md", "json", '{\n  "type": "reservation.status_changed"')
COMING_BACK = block("protocol.md", "text", "… connect")
CHAT = block("chat.md", "text", "… the restaurant")
PUBLISHING = block("http.md", "sh", "# A platform record")
FLOOR_PLAN = block("javascript-client.md", "html", "<!doctype html>")
IMPORT = 'import { MesaYA } from "http://localhost:8080/client/mesaya-ws.js";\n\n'
CLIENT_OF = 'const client = new MesaYA("ws://localhost:8080/ws",'
JAVASCRIPT = block("javascript-client.md", "js", f'{IMPORT}const client = new MesaYA("ws://localhost:8080/ws");')
SIGNING_IN = block("javascript-client.md", "js", f"{IMPORT}{CLIENT_OF} {{\n")
CHATTING = block("javascript-client.md", "js", f"{IMPORT}// With AUTH=off")
JAVASCRIPT_HOLD = block("javascript-client.md", "js", f"{IMPORT}{CLIENT_OF} {{ user")
HOLDING = block("http.md", "sh", "# Hold a table")
TOKENS = block("holds.md", "sql", "CREATE TABLE table_tokens")
PYTHON, PYTHON_CHAT, PYTHON_HOLD = [
    text
    for name, kind, text in SHOWN
    if (name, kind) == ("python-client.md", "python") and text.startswith("import trio")
]
PYTHON_TOKEN = block("python-client.md", "python", "async def fetch_token")
ENDED = block("protocol.md", "json", '{ "type": "unsubscribed"')
EMIT = block("backend.md", "ts", "this.client.emit")
EXPLAIN = block("backend.md", "sh", "mesaya-ws explain")
UNIT = block("operations.md", "ini", "[Service]")

RUN = [
    START,
    WATCH,
    SNIPPET,
    SNIPPET_SHOWS,
    SUBPROTOCOLS,
    EVENT,
    COMING_BACK,
    CHAT,
    PUBLISHING,
    HOLDING,
    TOKENS,
    FLOOR_PLAN,
    JAVASCRIPT,
    SIGNING_IN,
    CHATTING,
    JAVASCRIPT_HOLD,
    PYTHON,
    PYTHON_CHAT,
    PYTHON_HOLD,
    PYTHON_TOKEN,
    ENDED,
    EMIT,
    EXPLAIN,
    UNIT,
]
NOT_RUN = {
    block("architecture.md", "", " Kafka, or the embedded log"): "a drawing",
    block("architecture.md", "", " socket ──▶ frames"): "a drawing",
    block(
        "operations.md", "nginx", "proxy_set_header Host"
    ): "a line of the configuration of nginx, which the tests do not bring along",
    block("holds.md", "", " guest "): "a drawing",
    block("operations.md", "nginx", "proxy_set_header X-Forwarded-For"): "likewise",
    block(
        "http.md", "js", "const events = new EventSource"
    ): "a browser's; tests/e2e/test_events.py reads as browsers do",
    block("operations.md", "sh", "docker compose up"): "needs a container engine and images; see test_packaging.py",
}
NOT_RUN_LINES = {"scripts/test": "runs this test"}
"""Lines of `START` that are not run."""


def test_every_block_is_run_or_listed_with_a_reason():
    assert [(name, text) for name, _, text in SHOWN if text not in RUN and text not in NOT_RUN] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_begins_or_ends_a_block(page):
    """Or a block that is indented, or has more than its language, would be overlooked above."""
    assert len(re.findall(r"```|~~~", PAGES[page])) == 2 * len(FENCED.findall(PAGES[page]))


def commands(text: str) -> list[list[str]]:
    """Return the commands of a block, each as its words."""
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def to_gateway(text: str, port: int) -> str:
    """Return a block in which the service is the one that listens on `port`."""
    text = re.sub(r"\bwss?://[\w.:]+/ws", f"ws://127.0.0.1:{port}/ws", text)
    return re.sub(r"\blocalhost:8080\b", f"127.0.0.1:{port}", text)


# README.md


def test_readme_start_serves(tmp_path):
    [[serve, *arguments], [test]] = commands(START)
    assert serve == "scripts/serve"
    assert test in NOT_RUN_LINES
    assert (ROOT / test).exists()
    serving = Serving(tmp_path, None, {}, *arguments)
    try:
        until(lambda: '"event":"listening"' in serving.output.read_text(), 60, "it says where it listens")
        until(lambda: "playing a demo" in serving.output.read_text(), 60, "the demo plays")
        with connected(f"ws://127.0.0.1:{serving.port}/ws") as client:
            assert client.ask(type="ping")["type"] == "pong"
        serving.process.send_signal(signal.SIGTERM)
        assert serving.process.wait(PATIENCE) == 0
    finally:
        serving.process.kill()
        serving.process.wait()


def test_readme_tail_prints_what_produce_appends(start_gateway, tmp_path):
    gateway = start_gateway()
    [[tail_command, *tail], [produce_command, *sample]] = commands(WATCH)
    assert tail_command == produce_command == ".venv/bin/mesaya-ws"
    channels = tail[1:]
    received = set()
    with started(tmp_path, *tail, PORT=str(gateway.port)) as watching:
        until(lambda: gateway.metric("mesaya_subscriptions") == len(channels), PATIENCE, "tail has subscribed")
        done = run(tmp_path, *sample)
        assert done.returncode == 0, done.stderr
        for line in watching.stdout:
            received.add(json.loads(line)["channel"])
            if received == set(channels):
                break
        watching.kill()
    assert received == set(channels)


def is_as_shown(value: object, shown: object) -> bool:
    """Return whether a value is the shown one, in which `…` stands for what has been left out."""
    if isinstance(shown, dict):
        return isinstance(value, dict) and all(
            name == "…" or (name in value and is_as_shown(value[name], item)) for name, item in shown.items()
        )
    if isinstance(shown, str) and shown.endswith("…"):
        return isinstance(value, str) and value.startswith(shown[:-1])
    return value == shown


def without_place(message: dict) -> dict:
    """Return a message without its position, which is another one in every log."""
    assert message["position"]
    return {name: value for name, value in message.items() if name != "position"}


def test_readme_snippet_logs_the_event_that_is_shown(start_gateway, tmp_path):
    gateway = start_gateway()
    file = tmp_path / "snippet.js"
    file.write_text(to_gateway(SNIPPET, gateway.port))
    shown = without_place(json.loads(SNIPPET_SHOWS))
    del shown["timestamp"]  # that of the sample is counted back from today
    with running_node("run_block.js", str(file)) as program:
        gateway.until(lambda: gateway.metric("mesaya_subscriptions") == 1, PATIENCE, "the snippet has subscribed")
        assert run(tmp_path, "produce", "--sample").returncode == 0
        logged = []
        while not logged or not is_as_shown(logged[-1], shown):
            [message] = program.next("log")
            logged.append(message)
    assert [message["type"] for message in logged[:3]] == ["welcome", "subscribed", "snapshot"]


# docs/protocol.md


def test_subprotocols_are_selected_as_shown(start_gateway, tmp_path):
    gateway = start_gateway()
    file = tmp_path / "snippet.js"
    file.write_text(to_gateway(SUBPROTOCOLS, gateway.port))
    with running_node("run_block.js", str(file)) as program:
        assert sorted(program.next("opened") for _ in range(2)) == ["", "mesaya.v1"]


def test_event_is_as_shown(start_gateway):
    shown = json.loads(EVENT)
    data = shown["data"]
    created = {
        "id": data["reservationId"],
        "restaurantId": data["restaurantId"],
        "tableId": data["tableId"],
        "userId": data["userId"],
        "userName": data["clientName"],
        "reservationDate": "2026-01-20T00:00:00.000Z",
        "reservationTime": "2026-01-20T19:00:00.000Z",
        "numberOfGuests": data["numberOfGuests"],
        "status": "PENDING",
        "createdAt": data["createdAt"],
        "updatedAt": data["createdAt"],
    }
    changed = {"status": "CONFIRMED", "previousStatus": "PENDING", "updatedAt": data["updatedAt"]}
    gateway = start_gateway(PUBLISH_TOKEN=TOKEN)
    with connected(gateway.url) as client:
        client.subscribe(shown["channel"])
        for kind, time, content in (
            ("created", data["createdAt"], created),
            ("status_changed", shown["timestamp"], changed),
        ):
            value = {"timestamp": time, "event_type": kind, "entity_id": data["reservationId"], "data": content}
            assert gateway.publish({"topic": "mesa-ya.reservations.events", "value": value})[0] == 201
        assert client.receive()["type"] == "reservation.created"
        assert without_place(client.receive()) == without_place(shown)


class Transcript:
    """Plays a block of lines against a gateway: `→` is sent, `←` is received, `…` is what happens meanwhile.

    Positions are shown as names; one name is one position throughout, and two are two.
    """

    VARIES = ("connection", "asOf", "timestamp", "announcementId", "sentAt")

    def __init__(self, start_gateway, folder):
        self.start = lambda: start_gateway(PUBLISH_TOKEN=TOKEN)
        self.folder = folder
        self.gateway = self.start()
        self.positions = {}
        self.connection = ExitStack()

    def play(self, text):
        with ExitStack() as self.connection:
            for line in text.splitlines():
                sign, _, content = line.partition(" ")
                {"→": self.sends, "←": self.receives, "…": self.happens}[sign](content)

    def sends(self, content):
        message = json.loads(content)
        if "position" in message:
            message["position"] = self.positions[message["position"]]
        self.client.send(**message)

    def receives(self, content):
        shown = json.loads(content)
        message = self.client.welcome if shown["type"] == "welcome" else self.client.receive()
        if "position" in shown:
            name, position = shown["position"], message["position"]
            assert self.positions.setdefault(name, position) == position, f"{shown} was {message}"
            assert len(set(self.positions.values())) == len(self.positions), f"{shown} was {message}"
            message["position"] = name
        assert self.steady(message) == self.steady(shown)

    def steady(self, value):
        """Return a value without what is another one each time."""
        if isinstance(value, dict):
            return {name: name in self.VARIES or self.steady(item) for name, item in value.items()}
        return [self.steady(item) for item in value] if isinstance(value, list) else value

    def happens(self, content):
        act, _, rest = content.partition(" ")
        if act == "publish":
            assert self.gateway.announce(json.loads(rest)["title"]) == 201
        elif content.startswith("the restaurant answers"):
            self.answers(json.loads(content.removeprefix("the restaurant answers")))
        elif content.startswith("the restaurant"):
            self.opens(*re.fullmatch(r"the restaurant (\w+) of (\w+) is created", content).groups())
        else:
            {
                "connect": self.connect,
                "the connection breaks": self.breaks,
                "the log is lost, and begins anew": self.begins_anew,
            }[content]()

    def opens(self, restaurant, owner):
        data = {"id": restaurant, "name": "Casa", "ownerId": owner}
        value = {"timestamp": "2026-01-20T18:00:00.000Z", "event_type": "created", "entity_id": restaurant}
        assert self.gateway.publish({"topic": "mesa-ya.restaurants.events", "value": {**value, "data": data}})[0] == 201
        with connected(self.gateway.url) as client:
            shown = None
            while not shown:
                client.send(type="subscribe", channel=f"restaurant:{restaurant}:info", snapshot=True)
                # What was published meanwhile may come first.
                shown = next(it for it in iter(client.receive, None) if it["type"] == "snapshot")["data"]["restaurant"]

    def answers(self, said):
        with connected(self.gateway.url) as owner:
            owner.ask(type="auth", user="o1", roles=["OWNER"])
            said = {"messageId": said["messageId"], "data": {"text": said["text"]}}
            assert owner.ask(type="publish", channel="restaurant:r1:chat:u1", **said)["type"] == "published"

    def connect(self):
        self.client = self.connection.enter_context(connected(self.gateway.url))

    def breaks(self):
        self.client.socket.socket.shutdown(socket.SHUT_RDWR)

    def begins_anew(self):
        assert self.gateway.stop() == 0
        for file in self.folder.glob("mesaya-ws.sqlite3*"):
            file.unlink()
        self.gateway = self.start()


def test_coming_back_goes_as_shown(start_gateway, tmp_path):
    Transcript(start_gateway, tmp_path).play(COMING_BACK)


# docs/chat.md


def test_chat_goes_as_shown(start_gateway, tmp_path):
    Transcript(start_gateway, tmp_path).play(CHAT)


# The other pages


def test_publishing_by_http_as_shown(start_gateway):
    required("curl")
    gateway = start_gateway(PUBLISH_TOKEN=TOKEN)
    script = to_gateway(PUBLISHING, gateway.port).replace("curl ", "curl -sS --fail-with-body -w '\\n' ")
    done = subprocess.run(
        ["bash", "-euc", script],
        env=environment({"PUBLISH_TOKEN": TOKEN}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [set(answer) for answer in answers] == [{"topic", "partition", "offset"}] * PUBLISHING.count("curl ")
    gateway.until(lambda: gateway.metric("mesaya_records_total") == len(answers), PATIENCE, "it has read them")
    assert gateway.metric("mesaya_records_total", outcome="invalid") == 0


def known_restaurant(gateway, id: str) -> None:
    """Have a restaurant known."""
    value = {"timestamp": "2026-01-20T18:00:00.000Z", "event_type": "created", "entity_id": id}
    value["data"] = {"id": id, "name": "A", "ownerId": "o1"}
    assert gateway.publish({"topic": "mesa-ya.restaurants.events", "value": value})[0] == 201
    gateway.until(lambda: gateway.metric("mesaya_records_total") >= 1, PATIENCE, "it has read the restaurant")


def test_tables_are_held_and_released_by_http(start_gateway):
    required("curl")
    gateway = start_gateway(PUBLISH_TOKEN=TOKEN)
    known_restaurant(gateway, "b18ccb5f-6beb-48b0-885a-3eca7d2d552c")
    script = to_gateway(HOLDING, gateway.port).replace("curl ", "curl -sS --fail-with-body -w '\\n' ")
    environ = environment({"PUBLISH_TOKEN": TOKEN})
    done = subprocess.run(
        ["bash", "-euc", script], env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    held, ended = map(json.loads, done.stdout.splitlines())
    assert (held["tableIds"], ended["holdId"], ended["reason"]) == (["t1"], held["holdId"], "released")


def test_statement_refuses_tokens_that_are_too_old():
    """It is PostgreSQL's, and SQLite's too."""
    create, insert = TOKENS.split(";\n", 1)
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(create)

        def passes(token: int, table: str = "t1") -> bool:
            return db.execute(insert, {"1": table, "2": "2027-01-22T19:00:00Z", "3": token}).fetchall() == [(token,)]

        assert [passes(token) for token in (7, 7, 6, 9, 8, 10)] == [True, True, False, True, False, True]
        assert passes(1, "t2")
        assert [passes(token, "t3") for token in (0, 0, 1, 0)] == [True, True, True, False], "the first token is 0"


def test_python_holds_a_table(start_gateway, tmp_path):
    gateway = start_gateway(PUBLISH_TOKEN=TOKEN)
    known_restaurant(gateway, "b18ccb5f-6beb-48b0-885a-3eca7d2d552c")
    program = [sys.executable, "-c", to_gateway(PYTHON_HOLD, gateway.port)]
    done = subprocess.run(
        program, cwd=tmp_path, env=environment({}), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout.startswith("('t1',) 0 "), done.stderr


CLIENT = ROOT / "mesaya_ws" / "web" / "client"


def test_floor_plan_is_the_example_that_is_run():
    """And the package's own page shows the same snippet."""
    assert (CLIENT / "examples" / "floor-plan.html").read_text(encoding="utf-8") == FLOOR_PLAN  # see test_web_client.py
    assert FLOOR_PLAN.count("\n") <= 40
    assert FENCED.findall((CLIENT / "README.md").read_text(encoding="utf-8")) == [("js", JAVASCRIPT)]


def test_javascript_client_logs_what_arrives(start_gateway, tmp_path):
    gateway = start_gateway(PUBLISH_TOKEN=TOKEN)
    file = tmp_path / "page.js"
    file.write_text(JAVASCRIPT)
    with running_node("show_page.mjs", required("chromium"), str(file), "", str(gateway.port)) as program:
        assert program.next("log") == ["live"]
        gateway.until(lambda: gateway.metric("mesaya_subscriptions") == 1, PATIENCE, "the page has subscribed")
        assert gateway.announce("The terrace is open") == 201
        assert program.next("log") == ["announcement.created", "The terrace is open"]


def test_javascript_client_signs_in_and_learns_of_the_end(start_gateway, tmp_path):
    secret = "a secret of thirty-two bytes or more"
    settings = {"AUTH": "on", "JWT_SECRET": secret, "JWT_LEEWAY": "0", "ALLOWED_ORIGINS": "http://localhost:4200"}
    gateway = start_gateway(**settings)
    made = run(tmp_path, "token", "--user", "u1", "--expires", "40s", JWT_SECRET=secret)
    assert made.returncode == 0, made.stderr
    file = tmp_path / "page.js"
    file.write_text(SIGNING_IN)
    arguments = required("chromium"), str(file), "", str(gateway.port)
    with running_node("show_page.mjs", *arguments, TOKEN=made.stdout.strip()) as program:
        assert program.next("log") == ["live", "u1"]
        while (line := program.next("log"))[0] != "signed out":
            assert line == ["live", "u1"]
        assert line == ["signed out", "expired"]


def test_javascript_client_chats(start_gateway, tmp_path):
    gateway = start_gateway()
    assert run(tmp_path, "produce", "--sample").returncode == 0
    file = tmp_path / "page.js"
    file.write_text(CHATTING)
    with running_node("show_page.mjs", required("chromium"), str(file), "", str(gateway.port)) as program:
        lines = []
        while lines[-1:] != [["Is the terrace open? (sent)"]]:
            lines.append(program.next("log"))
        assert lines[0] == ["Is the terrace open? (pending)"]


def test_javascript_client_holds_a_table(start_gateway, tmp_path):
    gateway = start_gateway()
    assert run(tmp_path, "produce", "--sample").returncode == 0
    file = tmp_path / "page.js"
    file.write_text(JAVASCRIPT_HOLD)
    with running_node("show_page.mjs", required("chromium"), str(file), "", str(gateway.port)) as program:
        assert program.next("log") == ["held for", 300, "seconds, token", "number"]
        assert program.next("log") == ["it was", "released"]


def test_python_client_prints_what_arrives(start_gateway, tmp_path):
    gateway = start_gateway()
    program = [sys.executable, "-c", to_gateway(PYTHON, gateway.port)]
    with subprocess.Popen(program, cwd=tmp_path, env=environment({}), stdout=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(PATIENCE, process.kill)
        guard.start()
        try:
            assert process.stdout.readline().split(maxsplit=1)[0] == "snapshot"
            value = {
                "timestamp": "2026-01-20T18:00:00.000Z",
                "event_type": "created",
                "entity_id": "s1",
                "data": {"id": "s1", "restaurantId": "123", "name": "Terrace"},
            }
            produce(tmp_path, [{"topic": "mesa-ya.sections.events", "value": value}])
            assert process.stdout.readline().split(maxsplit=1)[0] == "section.created"
        finally:
            guard.cancel()
            process.kill()


def test_python_client_signs_in_by_what_the_function_returns(start_gateway, tmp_path):
    gateway = start_gateway(**SETTINGS)
    text = to_gateway(PYTHON_TOKEN, gateway.port).replace("eyJ…", token("789"))
    text = f"import trio\nfrom mesaya_ws.client import connect\n\n\n{text}\n\ntrio.run(watch_notifications)\n"
    program = [sys.executable, "-c", text]
    with subprocess.Popen(program, cwd=tmp_path, env=environment({}), stdout=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(PATIENCE, process.kill)
        guard.start()
        try:
            assert process.stdout.readline().split(maxsplit=1)[0] == "snapshot"
        finally:
            guard.cancel()
            process.kill()


def test_subscription_that_ends_with_its_token_is_reported_as_shown(start_gateway):
    gateway = start_gateway(**SETTINGS)
    shown = json.loads(ENDED)
    _, user, _ = shown["channel"].split(":")
    with connected(gateway.url, additional_headers={"Authorization": f"Bearer {token(user, seconds=10)}"}) as client:
        assert client.receive()["type"] == "token_expiring"
        client.subscribe(shown["channel"])
        answer = client.receive()
    assert answer | {"position": ""} == shown | {"position": ""}


def test_python_client_takes_part_in_a_chat(start_gateway, tmp_path):
    gateway = start_gateway()
    value = {"timestamp": "2026-01-20T18:00:00.000Z", "event_type": "created", "entity_id": "r1", "data": {"name": "R"}}
    produce(tmp_path, [{"topic": "mesa-ya.restaurants.events", "value": value}])
    gateway.until(lambda: gateway.metric("mesaya_records_total") == 1, PATIENCE, "it has read the restaurant")
    program = [sys.executable, "-c", to_gateway(PYTHON_CHAT, gateway.port)]
    done = subprocess.run(
        program, cwd=tmp_path, env=environment({}), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout == "['Is the terrace open?']\n", done.stderr


def test_emitted_record_has_the_key_of_its_entity(tmp_path):
    file = tmp_path / "emit.js"
    file.write_text(
        "const reservation = { id: 'abc123' }, event = { entity_id: 'abc123' };\n"
        "this.client = { emit: (...emitted) => console.log(...emitted) };\n" + EMIT
    )
    with running_node("run_block.js", str(file)) as program:
        topic, record = program.next("log")
    assert topic == "mesa-ya.reservations.events"
    assert record["key"] == json.loads(record["value"])["entity_id"]


def test_systemd_unit_runs_a_command_that_exists(tmp_path):
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read_string(UNIT)
    program, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "mesaya-ws"
    assert run(tmp_path, *arguments, "--help").returncode == 0


# What stands in the text


TEXT = "".join(PAGES.values())
COMMANDS = sorted(set(re.findall(r"`mesaya-ws ([a-z][^`]*)`", TEXT)))
ASSIGNMENTS = sorted(set(re.findall(r"`((?!MESAYA_)[A-Z][A-Z_]+=[^\s`]+)`", TEXT)))
# What some settings need beside them.
NEEDED = {"AUTH_REQUIRED": {"AUTH": "on", "JWT_SECRET": "a secret of a test, of at least 32 bytes"}}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_have_the_options_that_the_text_names(command, tmp_path):
    name, *rest = command.split()
    done = run(tmp_path, name, "--help")
    assert done.returncode == 0, done.stderr
    for option in re.findall(r"--[a-z-]+", " ".join(rest)):
        assert re.search(rf"{option}\b", done.stdout), option


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_settings_can_be_set_as_the_text_says(assignment, tmp_path):
    name, value = assignment.split("=", 1)
    done = run(tmp_path, "check", "--json", **NEEDED.get(name, {}), **{name: value})
    assert done.returncode != 2, done.stdout + done.stderr


def test_metrics_that_are_named_exist(start_gateway):
    text = start_gateway().request("/metrics")[2].decode()
    shown = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    # Some are shown only when there is something to show: a record, a checkpoint, a worker that has ended.
    code = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "mesaya_ws").rglob("*.py"))
    named = set(re.findall(r"\bmesaya_(?!ws\b)\w+", TEXT))
    names = {name: name.removeprefix("mesaya_").removesuffix("_total") for name in named - shown}
    unknown = {name for name, short in names.items() if not re.search(rf'"(mesaya_)?{short}(_total)?"', code)}
    assert unknown == set()


def test_backend_explain_commands_say_what_becomes_of_records_of_the_sample(tmp_path):
    assert run(tmp_path, "produce", "--sample").returncode == 0
    record = {"topic": "mesa-ya.tables.events", "value": {"event_type": "deleted", "entity_id": "t"}}
    (tmp_path / "record.json").write_text(json.dumps(record))
    explained = []
    for name, *arguments in commands(EXPLAIN):
        assert name == "mesaya-ws"
        done = run(tmp_path, *arguments, AUTH="on")
        assert done.returncode == 0, done.stderr
        explained.append(json.loads(done.stdout))
    assert [each["becomes"] for each in explained] == ["orphan", "published", "published"]
    assert explained[1]["messages"][0]["type"] == "reservation.created"
    assert [message["seenByUser"] for message in explained[2]["messages"]] == [False, True]
