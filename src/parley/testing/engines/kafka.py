"""A Kafka of one node, broker and controller in one, without ZooKeeper, Docker or a distribution's package."""

from __future__ import annotations

import os
import secrets
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from parley.testing.engines.engine import Engine, EngineMissing, find_program
from parley.testing.server import steady_port

LIBS = "PARLEY_TEST_KAFKA_LIBS"
"""Names the folder of Kafka's jars; without it, the one that tools/services.py filled in this checkout."""
BROUGHT = Path(__file__).parents[4] / ".services" / "kafka" / "libs"

JAVA = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # starts in half the time, and no test measures Kafka
    "-Djava.awt.headless=true",
    "-Dlog4j2.disable.jmx=true",
    "-Dorg.apache.logging.log4j.level=WARN",
)
SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.index.size.max.bytes": "1048576",
    # After a kill the controller takes the broker for alive until its session ends: 9 s, if it were not said.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}


class KafkaServer(Engine):
    """`bootstrap`, which is also its `url`, is host:port. `settings` are those of server.properties. No password."""

    name: ClassVar[str] = "kafka"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int = 0,
        controller_port: int = 0,
        password: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, port=port, password=password, settings=settings)
        self.controller_port = controller_port or steady_port()

    @classmethod
    def programs(cls) -> Mapping[str, str]:
        libs = Path(os.environ.get(LIBS) or BROUGHT)
        if not any(libs.glob("kafka_2.13-*.jar")):
            raise EngineMissing(
                f"Kafka's jars are not in {libs}; make services brings them, {LIBS} names another folder"
            )
        return {"java": find_program("java"), "libs": str(libs)}

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return self.bootstrap

    def make_data(self, folder: Path) -> None:
        folder.mkdir()
        # 16 bytes in base64 without padding, as Kafka writes an id; one that begins with a dash reads as an option.
        cluster = "p" + secrets.token_urlsafe(16)[1:21] + "A"
        properties = self._properties(folder)
        self.run(*self._java("kafka.tools.StorageTool"), "format", "--standalone", "-t", cluster, "-c", str(properties))

    def command(self) -> Sequence[str]:
        return [*self._java("kafka.Kafka"), str(self._properties(self.data))]

    def answers(self) -> bool:
        """Whether it names itself among the brokers that take part; before that, no topic can be made."""
        # Metadata, version 4, about no topic: key, version, correlation, client's name, topics, may create.
        question = struct.pack(">hhih6si?", 3, 4, 1, 6, b"parley", 0, False)
        try:
            with socket.create_connection((self.host, self.port), timeout=2.0) as connection:
                connection.sendall(struct.pack(">i", len(question)) + question)
                with connection.makefile("rb") as answer:
                    head = answer.read(16)
        except OSError:
            return False
        if len(head) < 16:
            return False
        _, _, _, brokers = struct.unpack(">iiii", head)
        return bool(brokers == 1)

    def _java(self, main: str) -> list[str]:
        programs = self.programs()
        return [programs["java"], *JAVA, "-cp", f"{programs['libs']}/*", main]

    def _properties(self, data: Path) -> Path:
        own = {
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{self.host}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{self.host}:{self.controller_port}",
            "controller.quorum.bootstrap.servers": f"{self.host}:{self.controller_port}",
            "log.dirs": str(data),
        }
        lines = "".join(f"{name}={value}\n" for name, value in {**SETTINGS, **own, **self.settings}.items())
        return self.write_private("server.properties", lines)
