"""The real programs that the other tests rely on do what their helpers say."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
from pymongo.errors import PyMongoError

from tests.servers import MongoServer, RedisServer, ServerFailed, ServerProcess, wait_until

# A server that answers /readyz, tells its environment, and takes a SIGTERM as success.
STAND_IN = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("names:", " ".join(os.environ), flush=True)
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

Document = dict[str, Any]


def stand_in(folder: Path, **environment: str) -> ServerProcess:
    return ServerProcess(folder, environment, arguments=("-c", STAND_IN))


def test_mongodb_keeps_transactions_and_gives_each_test_its_own_database(mongodb_uri: str) -> None:
    with pymongo.MongoClient[Document](mongodb_uri) as client:
        database = client.get_default_database()
        assert database.list_collection_names() == []
        with client.start_session() as session, session.start_transaction():
            database["things"].insert_one({"_id": 1}, session=session)
        assert database["things"].count_documents({}) == 1


def test_a_killed_mongodb_comes_back_with_what_it_acknowledged(own_mongodb: MongoServer) -> None:
    with pymongo.MongoClient[Document](own_mongodb.url, serverSelectionTimeoutMS=200) as client:
        things = client["test"].get_collection(
            "things", write_concern=pymongo.WriteConcern("majority", j=True)
        )
        things.insert_one({"_id": 1})
        own_mongodb.kill()
        with pytest.raises(PyMongoError):
            things.find_one()
    own_mongodb.start()
    with pymongo.MongoClient[Document](own_mongodb.url) as client:
        assert client["test"]["things"].find_one() == {"_id": 1}


def test_redis_is_empty_at_the_start_of_a_test(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()


def test_a_paused_redis_accepts_connections_and_answers_nothing(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url, socket_timeout=0.2, retry=None) as client:
        client.set("a", 1)
        own_redis.pause()
        with pytest.raises(redis.TimeoutError):
            client.get("a")
        own_redis.resume()
        assert client.get("a") == b"1"


def test_a_server_process_is_ready_when_started_and_knows_nothing_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET", "of the developer")
    with stand_in(tmp_path, LOG_LEVEL="debug") as server:
        assert server.status("/readyz") == 200
        assert "LOG_LEVEL" in server.log
        assert "JWT_SECRET" not in server.log


def test_a_server_process_comes_back_on_its_port_after_a_kill(tmp_path: Path) -> None:
    with stand_in(tmp_path) as server:
        url = server.url
        server.kill()
        assert server.status("/readyz") is None
        server.start()
        assert server.url == url
        assert server.stop() == 0


def test_a_server_process_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, arguments=("-c", "raise SystemExit('JWT_SECRET is too short')"))
    with pytest.raises(ServerFailed, match="JWT_SECRET is too short"):
        server.start()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's mark is Linux's")
def test_a_server_dies_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    run = f"""
        import os, signal
        from pathlib import Path
        from tests.test_servers import stand_in

        server = stand_in(Path({str(tmp_path)!r})).start()
        print(server.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(run)], stdout=subprocess.PIPE, timeout=30)
    server = Path("/proc") / killed.stdout.decode().strip()

    def gone() -> bool:  # or waits for whoever collects orphans
        return not server.exists() or "State:\tZ" in (server / "status").read_text()

    assert server.name.isdigit()
    assert wait_until(gone, 5)


def test_chromium_runs(chromium: str) -> None:
    printed = subprocess.run([chromium, "--version"], capture_output=True, check=True, timeout=30)
    assert b"hrom" in printed.stdout
