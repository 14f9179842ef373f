"""Pages that use the JavaScript client, in a real browser: the examples beside it, and who else may load it."""

from pathlib import Path
from urllib.parse import urlencode

import pytest

import mesaya_ws
from tests.e2e.node import required, running_node
from tests.timing import PATIENCE

ROOT = Path(mesaya_ws.__file__).parent
EXAMPLES = ROOT / "web" / "client" / "examples"
PAGES = Path(__file__).parent.parent / "web" / "client"
TOKEN = "a token of the tests"
RESTAURANT = "123"
CHANNEL = f"restaurant:{RESTAURANT}:tables"


def record(domain, what, entity, **data):
    value = {"timestamp": "2026-01-20T18:00:00.000Z", "event_type": what, "entity_id": entity, "data": data}
    return {"topic": f"mesa-ya.{domain}.events", "value": value}


def table(number, status, what="updated"):
    place = {"posX": 100 * number, "posY": 0, "width": 80, "height": 80}
    return record("tables", what, f"t{number}", sectionId="s1", number=number, capacity=4, status=status, **place)


@pytest.fixture
def gateway(start_gateway):
    """A gateway that knows a restaurant with two tables."""
    gateway = start_gateway(PUBLISH_TOKEN=TOKEN)
    publish(gateway, record("sections", "created", "s1", restaurantId=RESTAURANT, name="Terraza"))
    publish(gateway, table(1, "AVAILABLE", "created"))
    publish(gateway, table(2, "OCCUPIED", "created"))
    return gateway


def publish(gateway, message):
    assert gateway.publish(message)[0] == 201


def shown(program, wanted):
    """Return what a page shows beside `<main>` when it shows what is wanted there."""
    while True:
        said = program.next_of({"shown", "failed"})
        assert "failed" not in said, said
        if said["shown"] == wanted:
            return said["state"]


def page(path, port, *policy, **query):
    return running_node("show_page.mjs", required("chromium"), str(path), urlencode(query), str(port), *policy)


def test_floor_plan_is_drawn_and_changes(gateway):
    with page(EXAMPLES / "floor-plan.html", gateway.port, restaurant=RESTAURANT) as program:
        assert shown(program, ["1", "2"]) == "live"
        publish(gateway, table(3, "AVAILABLE", "created"))
        shown(program, ["1", "2", "3"])
        publish(gateway, record("tables", "deleted", "t2"))
        shown(program, ["1", "3"])
        publish(gateway, record("sections", "deleted", "s1"))
        shown(program, [])


def test_floor_plan_keeps_a_table_that_is_held(gateway):
    """`table.selecting` and `table.released` are about tables, but are none."""
    publish(gateway, record("restaurants", "created", RESTAURANT, name="Casa Nogal"))
    bearer = f"Bearer {TOKEN}"
    hold = "0b6e8cb6-3f30-4f0b-a4a9-6a4b8a0f4c55"
    body = {"user": "u1", "restaurantId": RESTAURANT, "tableIds": ["t1"], "holdId": hold}
    with page(EXAMPLES / "floor-plan.html", gateway.port, restaurant=RESTAURANT) as program:
        shown(program, ["1", "2"])
        assert gateway.request("/holds", method="POST", body=body, Authorization=bearer)[0] == 201
        publish(gateway, table(3, "AVAILABLE", "created"))
        shown(program, ["1", "2", "3"])
        assert gateway.request(f"/holds/{hold}", method="DELETE", Authorization=bearer)[0] == 200
        publish(gateway, table(4, "AVAILABLE", "created"))
        shown(program, ["1", "2", "3", "4"])


@pytest.mark.parametrize("name", ["page.react.tsx", "page.angular.ts"])
def test_component_shows_a_channel_and_ends_with_the_page(gateway, name):
    url = f"ws://127.0.0.1:{gateway.port}/ws"
    with page(PAGES / name, gateway.port, url=url, channel=CHANNEL) as program:
        while shown(program, ["1 available", "2 occupied"]) != "2":
            pass
        # Two components, each of them mounted twice, are one subscription.
        assert gateway.metric("mesaya_subscriptions") == 1
        publish(gateway, table(1, "OCCUPIED"))
        shown(program, ["1 occupied", "2 occupied"])
    gateway.until(lambda: gateway.metric("mesaya_subscriptions") == 0, PATIENCE, "the page has gone")


def test_client_runs_under_a_strict_policy(gateway, tmp_path):
    """The gateway is named in it; nothing in the client is evaluated, and nothing is inserted into the page."""
    service = "http://localhost:8080 ws://localhost:8080"
    policy = (
        f"default-src 'none'; script-src 'self' {service}; connect-src {service}; require-trusted-types-for 'script'"
    )
    program = tmp_path / "page.js"
    program.write_text(
        """
        const { MesaYA } = await import(/* @vite-ignore */ String("http://localhost:8080/client/mesaya-ws.js"));
        document.body.append(document.createElement("main"), document.createElement("output"));
        const show = (state) => {
          document.querySelector("output").textContent = state;
          document.querySelector("main").replaceChildren(document.createElement("p"));
        };
        const client = new MesaYA("http://localhost:8080/ws", { user: "u1" });
        client.on("status", ({ state }) => show(state));
        const chat = client.chat("unknown"); // what it needs is loaded from there, too
        chat.send("Hola").done.catch(({ code }) => show(code));
        """
    )
    with page(program, gateway.port, policy) as opened:
        while shown(opened, [""]) != "unknown_restaurant":
            pass
