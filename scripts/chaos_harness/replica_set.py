"""A MongoDB of several nodes, whose primary can be asked to go, killed, or frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from tests.servers import MongoServer, ServerFailed, wait_until

NAME = "rs0"
ELECTED_SECONDS = 40.0
PRIMARY, SECONDARY = 1, 2


class Node(MongoServer):
    """One node; it is ready when it answers, whatever its part is."""

    parameters = (
        *MongoServer.parameters,
        # As advised to operators: a secondary leaves a source that is silent after 6 seconds instead of 17.
        "oplogNetworkTimeoutBufferSeconds=1",
        "oplogFetcherSteadyStateMaxFetcherRestarts=0",
    )

    def ready(self) -> bool:
        """Whether it answers."""
        return self.ask("ping") is not None

    def ask(self, command: str, value: Any = 1, **more: Any) -> dict[str, Any] | None:
        """What it answers to an administrator's command, or None when it does not."""
        client: pymongo.MongoClient[dict[str, Any]]
        with pymongo.MongoClient(
            "127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=500, timeoutMS=5000
        ) as client:
            try:
                answer: dict[str, Any] = client.admin.command(command, value, **more)
                return answer
            except OperationFailure:
                raise
            except PyMongoError:
                return None

    @property
    def is_primary(self) -> bool:
        """Whether it is the primary."""
        hello = self.ask("hello")
        return hello is not None and bool(hello["isWritablePrimary"])


class ReplicaSet:
    """So many nodes, with MongoDB's own ten seconds before an election."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.nodes = [Node(folder / f"node-{number}") for number in range(nodes)]

    @property
    def url(self) -> str:
        """Where all of them are."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"mongodb://{hosts}/?replicaSet={NAME}"

    def start(self) -> None:
        """Start them and wait for a primary and its secondaries."""
        for node in self.nodes:
            node.start()
        members = [{"_id": n, "host": f"127.0.0.1:{node.port}"} for n, node in enumerate(self.nodes)]
        # The first election is held soon; the setting is only for that.
        config = {"_id": NAME, "members": members, "settings": {"electionTimeoutMillis": 1_000}}
        self.nodes[0].ask("replSetInitiate", config)
        self.wait()
        self._reconfigure()

    def _reconfigure(self) -> None:
        primary = self.primary()
        found = primary.ask("replSetGetConfig")
        assert found is not None
        config = found["config"]
        config["settings"]["electionTimeoutMillis"] = 10_000
        primary.ask("replSetReconfig", {**config, "version": config["version"] + 1})

    def wait(self) -> None:
        """Wait until one is the primary and all others follow it."""
        if not wait_until(self._whole, ELECTED_SECONDS, every=0.1):
            raise ServerFailed("the replica set has no primary, or not all secondaries")

    def _whole(self) -> bool:
        return sorted(map(self._part, self.nodes)) == [PRIMARY] + [SECONDARY] * (len(self.nodes) - 1)

    def _part(self, node: Node) -> int:
        try:
            status = node.ask("replSetGetStatus")
        except OperationFailure:  # not initiated yet
            return 0
        return int(status["myState"]) if status is not None else 0

    def primary(self) -> Node:
        """The primary; ServerFailed when there is none for long."""
        found: list[Node] = []

        def look() -> bool:
            found[:] = [node for node in self.nodes if node.running and node.is_primary]
            return bool(found)

        if not wait_until(look, ELECTED_SECONDS, every=0.1):
            raise ServerFailed("the replica set has no primary")
        return found[0]

    def step_down(self) -> None:
        """Ask the primary to go."""
        self.primary().ask("replSetStepDown", 60, secondaryCatchUpPeriodSecs=5)

    def kill(self) -> None:
        """End all of them."""
        for node in self.nodes:
            node.kill()
