"""The JavaScript client without a browser: its rules in Node, its types by tsc, and its size."""

import json
import re
import runpy
import subprocess
from pathlib import Path

import pytest

import mesaya_ws
from mesaya_ws.core.wire.codes import CLOSE_CODES, UNAUTHENTICATED
from tests.e2e.node import FOLDER, install, required

HERE = Path(__file__).parent
CLIENT = Path(mesaya_ws.__file__).parent / "web" / "client"
SIZES = runpy.run_path(str(HERE.parents[2] / "scripts" / "client_size.py"))
TYPES = runpy.run_path(str(HERE.parents[2] / "scripts" / "client_types.py"))
SOURCE = (CLIENT / "mesaya-ws.js").read_text(encoding="utf-8")

pytestmark = pytest.mark.slow

LARGEST = {
    "mesaya-ws.js": 6_144,
    "mesaya-ws-requests.js": 1_200,
    "mesaya-ws-chat.js": 2_100,
    "mesaya-ws-hold.js": 1_000,
    "mesaya-ws-events.js": 2_000,
}
"""Bytes that each file may have, minified and gzipped; all but the first are loaded when they are needed."""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "least"), [("rules", 80), ("two_way", 30), ("fallback", 20), ("interleavings", 25)])
def test_rules_hold_in_node(name, least):
    output = run(required("node"), "--test", "--test-reporter=tap", str(HERE / f"{name}.test.mjs"))
    counts = dict(re.findall(r"^# (tests|pass|skipped) (\d+)$", output, re.MULTILINE))
    assert int(counts["tests"]) >= least
    assert counts["pass"] == counts["tests"], output


def tsc(*arguments):
    node = install()
    return run(node, str(FOLDER / "node_modules/typescript/bin/tsc"), *arguments)


def test_types_in_comments_hold():
    tsc("-p", str(HERE / "tsconfig.json"))


def test_described_types_are_those_of_the_client(tmp_path):
    """What is emitted from the client may be used as what `mesaya-ws.d.ts` describes."""
    tsc(
        "-p",
        str(HERE / "tsconfig.json"),
        "--noEmit",
        "false",
        "--declaration",
        "--emitDeclarationOnly",
        "--outDir",
        str(tmp_path),
    )
    (tmp_path / "described.d.ts").write_text((CLIENT / "mesaya-ws.d.ts").read_text())
    (tmp_path / "mesaya-ws-messages.d.ts").write_text((CLIENT / "mesaya-ws-messages.d.ts").read_text())
    emitted = tmp_path / "mesaya-ws.d.ts"
    emitted.write_text(emitted.read_text().replace("./mesaya-ws.d.ts", "./described.js"))
    (tmp_path / "check.ts").write_text(
        """
        import * as real from "./mesaya-ws.js";
        import * as described from "./described.js";
        type Described = InstanceType<typeof described.MesaYA>;
        export const names: (keyof typeof described)[] = Object.keys(real) as (keyof typeof real)[];
        declare const one: real.MesaYA;
        declare const failure: real.MesaYAError;
        export const error: described.MesaYAError = failure;
        type Shape<T> = { [Name in Exclude<keyof T, symbol>]: T[Name] extends Function ? Function : T[Name] };
        export const parts: Shape<Described> = one;
        const subscription = one.subscribe("global:announcements", { snapshot: true });
        type Fields = Pick<described.Subscription<described.Message>, "channel" | "state" | "position" | "ready">;
        export const fields: Fields = subscription;
        """
    )
    options = ["--strict", "--noEmit", "--skipLibCheck", "--target", "es2022", "--module", "esnext"]
    tsc(
        *options,
        "--moduleResolution",
        "bundler",
        "--lib",
        "es2022,dom,dom.iterable,esnext.disposable",
        str(tmp_path / "check.ts"),
    )


@pytest.mark.parametrize("name", LARGEST)
def test_client_is_small(name):
    install()
    assert SIZES["gzipped"](SIZES["minified"](name)) <= LARGEST[name]


def test_sizes_are_those_of_all_files():
    assert LARGEST.keys() == SIZES["PARTS"].keys() == {path.name for path in CLIENT.glob("*.js")}


def test_sizes_are_those_that_the_documentation_shows():
    """`scripts/client_size.py --write` writes them anew."""
    install()
    assert SIZES["page_with_sizes"]() == SIZES["PAGE"].read_text(encoding="utf-8")


def test_types_of_events_are_those_that_the_protocol_describes():
    """`scripts/client_types.py --write` writes them anew."""
    assert TYPES["types"]() == TYPES["PAGE"].read_text(encoding="utf-8")


def test_events_of_a_channel_are_known_by_its_name(tmp_path):
    (tmp_path / "page.ts").write_text(
        """
        import { MesaYA, type AnyEvent, type MessageOf, type Snapshot } from "@mesaya/ws";

        declare const client: MesaYA;
        client.subscribe("restaurant:1:tables").on("message", (message) => {
          if (message.type === "table.updated") message.data.tableId.length;
          if (message.type === "table.selecting") message.data.expiresIn.toFixed();
          // @ts-expect-error: there is none of these here
          if (message.type === "dish.updated") return;
          // @ts-expect-error: nor any field of that name, before it is known what has happened
          message.data.expiresIn;
        });
        client.subscribe("restaurant:1:chat:u1").on("message", (message) => {
          if (message.type === "chat.typing") message.data.by.length;
          // @ts-expect-error: it is never in the log
          if (message.type === "chat.typing") message.position;
          // @ts-expect-error: null is what was deleted
          if (message.type === "chat.message") message.data.text.length;
        });
        client.subscribe("global:announcements").on("message", ({ type }) => type === "announcement.of_tomorrow");
        const any: AnyEvent | undefined = undefined as MessageOf<string> | undefined;
        const plan = client.subscribe("restaurant:1:tables").store((all: number = 0, { type }) => all + type.length);
        plan.get()?.toFixed();
        const unread: number | undefined = client.chat("r1").unread.get();
        client.chat("r1").messages.get()?.map(({ text, sent }) => [text?.length, sent?.done]);
        client.hold("r1", ["t1"]).then(({ ended }) => ended).then((why) => why === "reserved");
        export { any, unread, type Snapshot };
        """
    )
    text = (HERE / "tsconfig.examples.json").read_text()
    options = json.loads(text)["compilerOptions"]
    options |= {"paths": {"@mesaya/ws": [str(CLIENT / "mesaya-ws.d.ts")]}, "baseUrl": "."}
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["page.ts"]}))
    tsc("-p", str(tmp_path / "tsconfig.json"))


def test_examples_hold_with_the_types_of_frameworks():
    tsc("-p", str(HERE / "tsconfig.examples.json"))


def test_client_has_no_dependency_and_the_version_of_the_service():
    package = json.loads((CLIENT / "package.json").read_text())
    assert package["version"] == mesaya_ws.__version__
    assert not {name for name in package if name.endswith("ependencies") or name == "scripts"}
    for path in CLIENT.glob("*.js"):
        source = path.read_text(encoding="utf-8")
        assert re.findall(r"^import\b", source, re.MULTILINE) == []
        imported = set(re.findall(r"import\(\"(.*?)\"\)", source))
        assert imported <= {"./mesaya-ws.d.ts", "./mesaya-ws-messages.d.ts", *(f"./{name}" for name in LARGEST)}
    assert {path.name for path in CLIENT.iterdir()} == {*package["files"], "package.json", "examples"}


def test_client_stays_away_after_the_close_codes_that_say_so():
    never = set(json.loads(re.search(r"NEVER_AGAIN = (\[.*?\])", SOURCE)[1]))
    # 4401 asks for another token.
    assert never == {close.code for close in CLOSE_CODES.values() if not close.reconnect} - {UNAUTHENTICATED.code}
