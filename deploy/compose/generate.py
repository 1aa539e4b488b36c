# ruff: noqa: INP001 - a script, not a package
"""Write what `docker-compose.yml` and `.env.example` say of each service, from the one list in `shared/services.py`.

python deploy/compose/generate.py            # writes
python deploy/compose/generate.py --check    # exits with 1 when a file is not current
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from shared.services import PORTS  # noqa: E402 - found from wherever this is called

BEGIN, END = "# made by deploy/compose/generate.py: {}", "# end of what is made"
REFERENCE = "${{{}_PASSWORD:?cp .env.example .env}}"


def secret(name: str, server: str) -> str:
    """Where a service's password for a server comes from."""
    return REFERENCE.format(f"{name.upper()}_{server}")


def service(name: str, port: int) -> str:
    """One service of Compose."""
    return f"""  {name}:
    <<: *service
    image: throughcare-{name}
    build: {{context: ., target: service, args: {{SERVICE: {name}}}}}
    ports: ["127.0.0.1:{port}:8000"]
    environment:
      <<: *settings
      KAFKA_USERNAME: {name}
      KAFKA_PASSWORD: {secret(name, "KAFKA")}
      MONGO_URI: mongodb://care_{name}:{secret(name, "MONGO")}@mongo/care_{name}?directConnection=true
"""


def passwords(server: str) -> str:
    """What the container that makes a server's users is given."""
    return "".join(
        f"      {name.upper()}_{server}_PASSWORD: {secret(name, server)}\n" for name in PORTS
    )


def example(name: str) -> str:
    """A service's lines of `.env.example`."""
    return "".join(
        f"{name.upper()}_{server}_PASSWORD=development-only-{name}-{server.lower()}\n"
        for server in ("KAFKA", "MONGO")
    )


def replaced(text: str, part: str, made: str, indent: str = "") -> str:
    """The text with a part between its two marks made anew. Raises `ValueError` where a mark is missing."""
    begin = f"{indent}{BEGIN.format(part)}\n"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(f"{indent}{END}\n")
    if not (found and closed):
        raise ValueError(f"no marks for {part}")
    return f"{before}{begin}{made}{indent}{END}\n{after}"


def files() -> dict[Path, str]:
    """Each file as it has to be."""
    compose, env = ROOT / "docker-compose.yml", ROOT / ".env.example"
    text = compose.read_text(encoding="utf-8")
    text = replaced(text, "passwords of Kafka", passwords("KAFKA"), "      ")
    text = replaced(text, "passwords", passwords("MONGO"), "      ")
    made = "\n".join(service(name, port) for name, port in PORTS.items())
    text = replaced(text, "services", made, "  ")
    lines = "".join(map(example, PORTS))
    return {compose: text, env: replaced(env.read_text(encoding="utf-8"), "passwords", lines)}


def main() -> int:
    """Write, or check."""
    stale = [p for p, text in files().items() if p.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            sys.stderr.write(f"{path.name} is not current: make contracts\n")
        return 1 if stale else 0
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
