"""Secrets, each unlike anything else, are looked for in all that the gateway prints, answers, keeps and appends."""

import json
import re
import sqlite3
import time

import jwt
import pytest

from tests.e2e.client import connected
from tests.e2e.command import produce
from tests.e2e.raw import raw
from tests.support.gateway import running
from tests.support.wire import handshake
from tests.timing import PATIENCE

SECRET = "canary-jwt-secret-0123456789-0123456789"
SETTINGS = {
    "AUTH": "on",
    "HOST": "127.0.0.1",
    "LOG_LEVEL": "debug",
    "PUBLISH_TOKEN": "canary-publish-token",
    "KAFKA_SASL_PASSWORD": "canary-sasl-password",
    "JWT_SECRET": SECRET,
    "JWT_SECRET_PREVIOUS": "canary-previous-secret-0123456789-0123",
    "PARENT_TIMEOUT": "0",
}
CANARY = re.compile(rb"canary-[a-z-]+")
HASH = "canary-hash-of-a-password"
"""In the platform's own record of a user: it lies in the platform's topic, and must get no further."""


def minted(**claims) -> str:
    now = int(time.time())
    return jwt.encode({"iss": "mesaYA-auth", "sub": "u1", "iat": now, "exp": now + 600, **claims}, SECRET, "HS256")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with running(tmp_path_factory.mktemp("canaries"), **SETTINGS) as gateway:
        yield gateway


def everything_answered(gateway, tokens) -> bytes:
    """Use every secret in every way that there is, and return all that the gateway answers."""
    answers = [gateway.announce("hello").to_bytes(2)]
    for path in ("/", "/health", "/health/ready", "/metrics", "/configuration", "/ws", "/publish", "/nowhere"):
        for token in (*tokens, SETTINGS["PUBLISH_TOKEN"], ""):
            status, headers, body = gateway.request(path, Authorization=f"Bearer {token}")
            answers.append(f"{status} {headers}".encode() + body)
    for token in tokens:
        for fields in (
            {b"Authorization": b"Bearer " + token.encode()},
            {b"Sec-WebSocket-Protocol": b"mesaya.v1, bearer." + token.encode()},
        ):
            with raw(gateway.port) as client:
                client.send(handshake(fields), b"\x88\x80\x00\x00\x00\x00")
                answers.append(client.everything())
    with connected(gateway.url, additional_headers={"Authorization": f"Bearer {tokens[0]}"}) as client:
        for channel in ("global:announcements", "user:u1:notifications", "global:restaurants"):
            answers.append(json.dumps(client.ask(type="subscribe", channel=channel)).encode())
            client.send(type="subscribe", channel=channel, snapshot=True, id=channel)
            while (answer := client.receive()).get("id") != channel:
                answers.append(json.dumps(answer).encode())
        messages = ({"type": "auth", "token": tokens[0]}, {"type": "ping", "token": tokens[0]})
        answers.extend(json.dumps(client.ask(**message)).encode() for message in messages)
    return b"\n".join(answers)


def test_no_secret_is_anywhere_but_where_it_belongs(gateway):
    user = {"id": "u1", "email": "a@b.example", "password": HASH, "passwordHash": HASH, "firstName": "Ada"}
    produce(gateway.folder, [{"topic": "mesa-ya.auth.events", "value": {"type": "user_signed_up", "data": user}}])
    gateway.until(lambda: gateway.metric("mesaya_records_total"), PATIENCE, "the record has been read")
    tokens = [minted(), minted(exp=1), jwt.encode({"sub": "u1"}, "another secret of thirty-two bytes", "HS256")]
    said = everything_answered(gateway, tokens)
    kept = b"".join(
        path.read_bytes() for path in gateway.folder.rglob("*") if path.is_file() and "sqlite3" not in path.name
    )
    for where, text in {"answers": said, "files": kept, "output": gateway.output.encode()}.items():
        assert CANARY.findall(text) == [], where
        for token in tokens:
            assert token.encode() not in text, where
            assert token.rpartition(".")[2].encode() not in text, where


def test_store_holds_only_what_was_produced(gateway):
    """The hash lies in the platform's record, as the platform wrote it, and in no other one."""
    with sqlite3.connect(next(gateway.folder.glob("*.sqlite3"))) as store:
        tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [(table, repr(row)) for table in tables for row in store.execute(f'SELECT * FROM "{table}"')]
    holding = [(table, row) for table, row in rows if "canary-" in row]
    assert len(holding) == 1
    assert all("mesa-ya.auth.events" in row or HASH in row for _, row in holding)
