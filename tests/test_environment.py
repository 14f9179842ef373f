import re
from pathlib import Path

import attrs
import pytest
import typed_settings as ts

from mesaya_ws.core.platform.topics import PARENTS_TOPIC
from mesaya_ws.environment import given, load_settings, unused
from mesaya_ws.settings import Settings, SettingsError
from mesaya_ws.settings.display import fingerprints, shown

SEED = """\
# Server
PORT=8080
HOST=0.0.0.0

# Kafka
KAFKA_BROKERS=localhost:9092
KAFKA_GROUP_ID=mesaya-ws-group

# CORS
ALLOWED_ORIGINS=http://localhost:4200,http://localhost:3000
"""


def test_the_env_file_of_the_service_before_this_one(tmp_path):
    (tmp_path / ".env").write_text(SEED)
    settings = load_settings({}, tmp_path)
    assert (settings.host, settings.port) == ("0.0.0.0", 8080)
    assert (settings.kafka_brokers, settings.kafka_group_id) == (("localhost:9092",), "mesaya-ws-group")
    assert settings.allowed_origins == ("http://localhost:4200", "http://localhost:3000")


def test_the_environment_wins_and_empty_counts_as_not_set(tmp_path):
    (tmp_path / ".env").write_text("PORT=1\nHOST=a\nLOG_LEVEL=debug\n")
    settings = load_settings({"PORT": "2", "HOST": "", "PATH": "/bin"}, tmp_path)
    assert (settings.port, settings.host, settings.log_level) == (2, "a", "debug")


def test_nothing_needs_to_be_set(tmp_path):
    settings = load_settings({}, tmp_path)
    assert (settings.kafka_brokers, settings.auth, str(settings.publish_token)) == ((), True, "")
    assert settings.event_log_file.name == "mesaya-ws.sqlite3"


def test_lists_and_switches(tmp_path):
    settings = load_settings(
        {"KAFKA_BROKERS": " a:1, b:2 ,", "AUTH": "off", "KAFKA_TOPICS": "t", "EVENT_LOG_FILE": "x/y"}, tmp_path
    )
    assert (settings.kafka_brokers, settings.auth, settings.kafka_topics) == (("a:1", "b:2"), False, ("t",))
    assert settings.event_log_file == Path("x/y") or settings.event_log_file.is_absolute()


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("AUTH", "OFF", False),
        ("AUTH", "On", True),
        ("LOG_LEVEL", "INFO", "info"),
        ("LOG_LEVEL", "Warn", "warning"),
        ("LOG_LEVEL", "CRITICAL", "error"),
        ("LOG_FORMAT", "JSON", "json"),
        ("SLOW_TABLES", "Conflate", "conflate"),
        ("KAFKA_SECURITY_PROTOCOL", "ssl", "SSL"),
        ("KAFKA_SASL_MECHANISM", "scram_sha_512", "SCRAM-SHA-512"),
    ],
)
def test_words_are_understood_in_any_case(tmp_path, name, value, meant):
    assert getattr(load_settings({name: value}, tmp_path), name.lower()) == meant


def words_of(field):
    """Return the words that a setting may have, as the sentence about a wrong one names them."""
    try:
        load_settings({field.name.upper(): "none of them"})
    except SettingsError as error:
        if found := re.search(r"must be one of (.*), not", str(error)):
            return found[1].split(", ")
    return []


def test_every_setting_with_fixed_words_takes_them_in_any_case(tmp_path):
    user = {"KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p"}
    with_words = {field.name: words for field in attrs.fields(Settings) if (words := words_of(field))}
    assert len(with_words) >= 5
    for name, words in with_words.items():
        for word in words:
            assert getattr(load_settings({name.upper(): word.swapcase(), **user}, tmp_path), name) == word


def test_origins_become_what_browsers_send(tmp_path):
    listed = "https://App.Mesaya.example,https://app2.mesaya.example:443, https://señora.example:8443 ,file://,*"
    assert load_settings({"ALLOWED_ORIGINS": listed}, tmp_path).allowed_origins == (
        "https://app.mesaya.example",
        "https://app2.mesaya.example",
        "https://xn--seora-pta.example:8443",
        "file://",
        "*",
    )


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ({}, "0.0.0.0"),
        ({"AUTH": "off"}, "127.0.0.1"),
        ({"AUTH": "off", "HOST": ""}, "127.0.0.1"),
        ({"AUTH": "off", "HOST": "0.0.0.0"}, "0.0.0.0"),
        ({"AUTH": "off", "HOST": "::"}, "::"),
    ],
)
def test_gateway_without_auth_listens_on_loopback_unless_host_is_set(tmp_path, given, host):
    assert load_settings(given, tmp_path).host == host


@pytest.mark.parametrize(
    "written",
    [
        b"\xef\xbb\xbfAUTH=off\nPORT=18095\n",
        b"\xef\xbb\xbfPORT=18095\r\nAUTH=off\r\n",
        b"PORT=18095\rAUTH=off\r",
        b"export AUTH = 'off' # for now\nPORT=\"18095\"",
    ],
)
def test_an_env_file_as_editors_write_it(tmp_path, written):
    (tmp_path / ".env").write_bytes(written)
    settings = load_settings({}, tmp_path)
    assert (settings.port, settings.auth) == (18095, False)
    assert given({}, tmp_path) == {"PORT": "18095", "AUTH": "off"}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PUBLISH_TOKEN", "abc\ndef", "PUBLISH_TOKEN must be one line of text, in UTF-8, without control characters"),
        ("PUBLISH_TOKEN", "abc\0def", "PUBLISH_TOKEN must be one line of text"),
        ("PUBLISH_TOKEN", "abc\udcffdef", "PUBLISH_TOKEN must be one line of text"),
        ("PORT", "x", "PORT must be a whole number, not 'x'"),
        ("PORT", "-1", "PORT must be from 0 to 65535, not -1"),
        ("PORT", "70000", "PORT must be from 0 to 65535, not 70000"),
        # A record of chat might not be read back.
        ("MAX_RECORD_BYTES", "65535", "MAX_RECORD_BYTES must be from 65536 to 67108864, not 65535"),
        ("PING_INTERVAL", "soon", "PING_INTERVAL must be a number, not 'soon'"),
        ("AUTH", "perhaps", "AUTH must be `on` or `off`, not 'perhaps'"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of debug, info, warning, error, not 'loud'"),
        ("PLATFORM_TIMEZONE", "Guayaquil", "PLATFORM_TIMEZONE must be a time zone by its IANA name, such as America"),
        ("PLATFORM_TIMEZONE", "../passwd", "PLATFORM_TIMEZONE must be a time zone by its IANA name"),
        ("PLATFORM_TIMEZONE", "America", "PLATFORM_TIMEZONE must be a time zone by its IANA name"),
        ("KAFKA_BROKERS", "localhost", "KAFKA_BROKERS must be host:port separated by commas, not 'localhost'"),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL", "needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
        ("KAFKA_SSL_CERTFILE", "x.pem", "belong together"),
        ("KAFKA_BROKERS", "a..b:9092", "KAFKA_BROKERS must be host:port separated by commas, not 'a..b:9092'"),
        ("KAFKA_BROKERS", "a:0", "KAFKA_BROKERS must be host:port separated by commas, not 'a:0'"),
        ("KAFKA_BROKERS", "PLAINTEXT://a:9092", "KAFKA_BROKERS must be host:port separated by commas"),
        ("KAFKA_TOPICS", '"a,b"', "KAFKA_TOPICS must be 1-249 of A-Z a-z 0-9 . _ -, not '\"a'"),
        ("KAFKA_TOPICS", "a,..", "KAFKA_TOPICS must be 1-249 of A-Z a-z 0-9 . _ -, not '..'"),
        ("KAFKA_TOPICS", "ñ", "KAFKA_TOPICS must be 1-249"),
        ("HOST", "a..b", "HOST must be an address or a name, such as 0.0.0.0, not 'a..b'"),
        ("HOST", "a" * 64, "HOST must be an address or a name"),
        ("HOST", "localhost:8080", "HOST must be an address or a name"),
        ("ALLOWED_ORIGINS", "localhost:4200/", "ALLOWED_ORIGINS must be origins"),
        ("ALLOWED_ORIGINS", "https://*.mesaya.example", "no wildcard within), or `*` for all, not 'https://*.mes"),
        ("ALLOWED_ORIGINS", "http://localhost:4200,https://app.example/", "not 'https://app.example/'"),
        ("CHECKPOINT_TOPIC", "our state", "CHECKPOINT_TOPIC must be 1-249 of A-Z a-z 0-9 . _ -, not 'our state'"),
        ("CHECKPOINT_TOPIC", "mesa-ya.tables.events", "is followed for its events"),
        ("PLATFORM_API_URL", "backend:3000", "PLATFORM_API_URL must be like http://backend:3000/api/v1"),
        ("PLATFORM_API_URL", "http://", "PLATFORM_API_URL must be like"),
        ("PLATFORM_API_URL", "http://a:b@backend/", "PLATFORM_API_URL must be like"),
        ("PLATFORM_API_URL", "http://backend/?a=b", "PLATFORM_API_URL must be like"),
        ("PLATFORM_API_URL", "http://[::1/", "PLATFORM_API_URL must be like"),
        ("PLATFORM_API_URL", "http://a..b/api", "PLATFORM_API_URL must be like"),
        ("PLATFORM_API_URL", f"http://{'a' * 64}/api", "PLATFORM_API_URL must be like"),
        ("PLATFORM_API_URL", "http://h/\x7f", "PLATFORM_API_URL must be like"),
        ("PLATFORM_API_URL", "http://[::1%25lo]:1/", "PLATFORM_API_URL must be like"),
        ("PLATFORM_API_URL", "http://h:70000/", "PLATFORM_API_URL must be like"),
    ],
)
def test_every_bad_value_gets_one_sentence(tmp_path, name, value, sentence):
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value}, tmp_path)
    [problem] = caught.value.problems
    assert sentence in problem


def test_the_checkpoint_topic_may_not_be_followed_though_it_is_our_own(tmp_path):
    asking = {"PLATFORM_API_URL": "http://backend:3000/api/v1", "CHECKPOINT_TOPIC": PARENTS_TOPIC}
    with pytest.raises(SettingsError, match="is followed"):
        load_settings(asking, tmp_path)


def test_all_problems_are_reported_at_once(tmp_path):
    with pytest.raises(SettingsError) as caught:
        load_settings({"PORT": "x", "PING_TIMEOUT": "0", "AUTH": "2"}, tmp_path)
    assert len(caught.value.problems) == 3


def test_what_is_shown_could_be_given(tmp_path):
    settings = load_settings({"AUTH": "off", "KAFKA_TOPICS": "a,b", "PORT": "5", "EVENT_LOG_FILE": "/x"}, tmp_path)
    values = dict(shown(settings))
    assert len(values) == len(attrs.fields(Settings))
    assert load_settings(values, tmp_path) == settings
    assert [values[name] for name in ("AUTH", "KAFKA_TOPICS", "PORT", "PUBLISH_TOKEN")] == ["off", "a, b", "5", ""]


def test_secrets_are_not_shown(tmp_path):
    settings = load_settings({"PUBLISH_TOKEN": "hunter2", "KAFKA_SASL_PASSWORD": "hunter3"}, tmp_path)
    assert settings.publish_token == "hunter2"
    assert "hunter" not in repr(settings)
    assert dict(shown(settings))["PUBLISH_TOKEN"] == "(hidden)"
    assert "hunter" not in str(list(shown(settings)))


def test_an_env_file_that_cannot_be_read(tmp_path):
    (tmp_path / ".env").write_bytes(b"PORT=\xff\n")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings({}, tmp_path)


def test_fingerprints_show_which_settings_differ_but_no_values():
    ours, theirs = Settings(), Settings(auth=False, kafka_brokers=("a:1",), publish_token=ts.SecretStr("x"))
    our_prints, their_prints = fingerprints(ours, "salt"), fingerprints(theirs, "salt")
    assert {name for name in our_prints if our_prints[name] != their_prints[name]} == {"AUTH", "KAFKA_BROKERS"}
    assert not {"PUBLISH_TOKEN", "KAFKA_SASL_PASSWORD"} & our_prints.keys(), "not even a trace of what is secret"
    assert "a:1" not in str(their_prints)
    assert fingerprints(ours, "another salt")["AUTH"] != our_prints["AUTH"]


@pytest.mark.parametrize(
    ("texts", "sentences"),
    [
        ({"KAFKA_TOPICS": "a", "EVENT_LOG_FILE": "x", "PATH": "/bin", "HOSTNAME": "h", "LOGNAME": "ann"}, []),
        ({"KAFKA_BROKERS": "a:1", "EVENT_LOG_FILE": "x"}, ["EVENT_LOG_FILE is not used, since KAFKA_BROKERS is set"]),
        (
            {"KAFKA_TOPICS": "a", "KAFKA_GROUP_ID": "g", "KAFKA_SSL_CAFILE": "f"},
            ["KAFKA_GROUP_ID, KAFKA_SSL_CAFILE are not used, since KAFKA_BROKERS is not set"],
        ),
        (
            {"KAFKA_BROKERS": "a:1", "KAFKA_SASL_USERNAME": "u", "KAFKA_SSL_CAFILE": "f"},
            [
                "KAFKA_SASL_USERNAME is not used with KAFKA_SECURITY_PROTOCOL=PLAINTEXT",
                "KAFKA_SSL_CAFILE is not used with KAFKA_SECURITY_PROTOCOL=PLAINTEXT",
            ],
        ),
        ({"ALOWED_ORIGINS": "x"}, ["ALOWED_ORIGINS is no setting, and has no effect; ALLOWED_ORIGINS may be meant"]),
    ],
)
def test_settings_without_effect_are_named(texts, sentences):
    assert list(unused(load_settings(texts, Path("/nowhere")), texts)) == sentences


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("OUTBOX_MESSAGES", "SEND_QUEUE_MESSAGES"),
        ("OUTBOX_BYTES", "SEND_QUEUE_BYTES"),
        ("RELOAD_SECONDS", "RELOAD_TIMEOUT"),
        ("PARENT_WAIT", "PARENT_TIMEOUT"),
        ("EVENT_LOG", "EVENT_LOG_FILE"),
        ("STATE_TOPIC", "CHECKPOINT_TOPIC"),
    ],
)
def test_old_name_of_a_setting_is_refused_with_the_new_one(tmp_path, old, new):
    with pytest.raises(SettingsError) as caught:
        load_settings({old: "1"}, tmp_path)
    assert caught.value.problems == [f"{old} is called {new} now: rename it"]
    assert new in {field.name.upper() for field in attrs.fields(Settings)}
