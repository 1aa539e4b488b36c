# ruff: noqa: INP001, S104, S603, S606 - the start script of a container
"""What the official image's entry point does, for a compatible server.

With MONGO_INITDB_ROOT_USERNAME and MONGO_INITDB_ROOT_PASSWORD, the first start makes that user in
the `admin` database; every start then asks for credentials. Of mongod's own flags --port and
--tlsCertificateKeyFile count: the server is a single-node replica set from the start, so --replSet
and --keyFile have nothing to do.
"""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

DATA = Path(os.environ.get("STANDIN_DATA", "/data/db"))
FIRST_PORT = os.environ.get("STANDIN_FIRST_PORT", "27999")
MADE = DATA / ".standin-root-user"
SERVER = [sys.executable, "-m", "secantus", "--storage-path", str(DATA / "store")]


def make_root(user: str, password: str) -> None:
    """Start without authentication where only this container reaches it, make the user, stop."""
    first = subprocess.Popen([*SERVER, "--host", "127.0.0.1", "--port", FIRST_PORT])
    try:
        client: MongoClient = MongoClient("127.0.0.1", int(FIRST_PORT), directConnection=True)
        deadline = time.monotonic() + 30
        while True:
            try:
                client.admin.command("ping")
                break
            except PyMongoError:
                if time.monotonic() > deadline or first.poll() is not None:
                    raise
                time.sleep(0.1)
        client.admin.command("createUser", user, pwd=password, roles=["root"])
        client.close()
    finally:
        first.terminate()
        first.wait(20)
    MADE.touch()


def main() -> None:
    """Make the root user if asked, then become the server."""
    arguments = sys.argv[1:]
    given = dict(itertools.pairwise(arguments))
    command = [*SERVER, "--host", "0.0.0.0", "--port", given.get("--port", "27017")]
    pair = given.get("--tlsCertificateKeyFile")
    if pair:
        command += ["--tls-cert-file", pair, "--tls-key-file", pair]
    user = os.environ.get("MONGO_INITDB_ROOT_USERNAME")
    password = os.environ.get("MONGO_INITDB_ROOT_PASSWORD")
    if user and password:
        if not MADE.exists():
            make_root(user, password)
        command.append("--auth")
    os.execv(command[0], command)


main()
