# ruff: noqa: INP001 - a script, not a package
"""The store made ready: a replica set of one, and for every service a user of its own database alone.

Runs once before the services start and changes nothing when all is as it should be; a password that was
changed in the environment is changed in the store.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

SUFFIX = "_MONGO_PASSWORD"
"""A service has a user when its password is given: INTAKE_MONGO_PASSWORD makes care_intake."""
ROOT = "MONGO_ROOT_PASSWORD"
HOST = os.environ.get("MONGO_HOST", "mongo:27017")
CA_FILE = os.environ.get("MONGO_CA_FILE")
PATIENCE_SECONDS = 60.0
ALREADY_INITIALIZED = 23
SIMPLE = re.compile(r"[A-Za-z0-9._~-]{12,}")

Client = MongoClient[dict[str, Any]]


def say(event: str, **what: str) -> None:
    """One JSON line, as the services write them."""
    sys.stdout.write(json.dumps({"event": event, **what}) + "\n")


def password(variable: str) -> str:
    """A password from the environment; it goes into connection strings as it stands."""
    value = os.environ.get(variable, "")
    if not SIMPLE.fullmatch(value):
        raise SystemExit(f"{variable}: at least 12 of A-Z a-z 0-9 . _ ~ - are needed")
    return value


def connect(user: str, secret: str, database: str) -> Client:
    """The store as this user, talked to directly."""
    return MongoClient(
        f"mongodb://{HOST}/",
        username=user,
        password=secret,
        authSource=database,
        directConnection=True,
        tls=True,
        tlsCAFile=CA_FILE,
        serverSelectionTimeoutMS=2_000,
    )


def replica_set_of_one(root: Client) -> None:
    """Start the replica set if nobody has, and wait until its one member takes writes."""
    member = {"_id": 0, "host": HOST}
    while not root.admin.command("hello")["isWritablePrimary"]:
        try:
            root.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
            say("replica-set.started")
        except OperationFailure as error:
            if error.code != ALREADY_INITIALIZED:
                raise
        time.sleep(0.5)


def user_of(root: Client, service: str, secret: str) -> None:
    """One user in the service's own database, who may read and write there and nowhere else."""
    name = database = f"care_{service}"
    wanted = [{"role": "readWrite", "db": database}]
    known = root[database].command("usersInfo", name)["users"]
    if not known:
        root[database].command("createUser", name, pwd=secret, roles=wanted)
        say("user.made", user=name)
        return
    if known[0]["roles"] != wanted or not accepted(name, secret, database):
        root[database].command("updateUser", name, pwd=secret, roles=wanted)
        say("user.changed", user=name)


def accepted(user: str, secret: str, database: str) -> bool:
    """Whether the store knows this user by this password."""
    try:
        with connect(user, secret, database) as client:
            client[database].list_collection_names()
    except OperationFailure:
        return False
    return True


def main() -> None:
    """Try until the store answers, then do what is missing."""
    root_secret = password(ROOT)
    given = [name for name in os.environ if name.endswith(SUFFIX)]
    secrets = {name.removesuffix(SUFFIX).lower(): password(name) for name in sorted(given)}
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with connect("root", root_secret, "admin") as root:
                replica_set_of_one(root)
                for name, secret in secrets.items():
                    user_of(root, name, secret)
            break
        except PyMongoError as error:
            if time.monotonic() > until:
                raise SystemExit(f"the store can't be made ready: {error}") from None
            say("store.waiting", exception=type(error).__name__)
            time.sleep(1)
    say("store.ready")


main()
