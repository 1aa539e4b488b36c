# ruff: noqa: INP001 - a script, not a package
"""The keys of Kafka and MongoDB, made once: an authority, and a certificate for each who needs one.

`keys.py` makes what is missing, and a server's certificate anew when its names have changed; `keys.py renew` makes all
certificates anew, and the servers are then to be started again. Each directory below `KEYS` is a volume that one
container mounts beside this one, so who may read the files is decided there and not by their mode: the images of Kafka
and MongoDB run as users of their own. The authority's key is in a volume that nobody else mounts.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from shared.devtools.backends.certificates import Authority

KEYS = Path(os.environ.get("KEYS", "/keys"))
HERE = ("localhost", "127.0.0.1")


def say(event: str, **what: str) -> None:
    """One JSON line, as the services write them."""
    sys.stdout.write(json.dumps({"event": event, **what}) + "\n")


def hosts() -> dict[str, tuple[str, ...]]:
    """Whose certificate names which addresses; a client's names none."""
    subscribers = os.environ.get("KAFKA_SUBSCRIBERS_HOST", "") or "localhost"
    return {
        "broker": tuple(dict.fromkeys(("kafka", *HERE, subscribers))),
        "store": ("mongo", *HERE),
        "admin": (),
    }


def issue(authority: Authority, name: str, names: tuple[str, ...]) -> None:
    """Put a new certificate with its key into the volume of its owner, and the authority's beside it."""
    issued = authority.issue(name, *names)
    volume = KEYS / name
    for source, target in (
        (issued.certificate, "certificate.pem"),
        (issued.key, "key.pem"),
        (issued.both, "both.pem"),
        (authority.file, "ca.pem"),
    ):
        copied = volume / f".{target}"
        shutil.copyfile(source, copied)
        copied.chmod(0o644)
        copied.replace(volume / target)
    issued.key.unlink()
    issued.both.unlink()
    (volume / "names").write_text("\n".join(names), encoding="utf-8")
    say("certificate.made", user=name)


def main() -> None:
    """Make what is missing."""
    authority = Authority(KEYS / "authority")
    for name, names in hosts().items():
        known = KEYS / name / "names"
        if (
            "renew" in sys.argv
            or not known.exists()
            or known.read_text(encoding="utf-8") != "\n".join(names)
        ):
            issue(authority, name, names)
    trusted = KEYS / "trusted" / "ca.pem"
    shutil.copyfile(authority.file, trusted)
    trusted.chmod(0o644)
    say("keys.ready")


main()
