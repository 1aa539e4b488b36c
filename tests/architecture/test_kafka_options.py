"""Every Kafka client takes its options and its names from one place, so that a bus can be closed, and shared."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("shared", "services", "care", "demo", "chaos")
SOURCE = {
    "AIOKafkaConsumer": "client_options",
    "AIOKafkaProducer": "client_options",
    "AIOKafkaAdminClient": "client_options",
    "AIOKafkaClient": "client_options",
    "KafkaBroker": "broker_options",
}
"""Every class that opens a connection to Kafka, and where its options come from."""
CLIENTS, KIT = "shared/runtime/kafka/clients.py", "shared/kit/consumer.py"
CREATORS = {
    "AIOKafkaConsumer": {CLIENTS, KIT},
    "AIOKafkaProducer": {CLIENTS},
    "AIOKafkaAdminClient": {CLIENTS, KIT},
    "AIOKafkaClient": set[str](),
    "NamedConsumer": {CLIENTS},
    "NamedProducer": {CLIENTS},
    "NamedAdmin": {CLIENTS},
    "KafkaBroker": {"shared/runtime/service.py"},
}
"""Where each is created: a client that is created elsewhere would speak of topics by the names of the cluster. The kit,
which needs nothing of the runtime, has one place of its own."""
PREFIX_READ_IN = {"shared/runtime/connections.py", "shared/runtime/kafka/names.py"}
OURS = {"bootstrap_servers", "security", "security_protocol", "ssl_context", "api_version"}


def _name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _breaches(tree: ast.Module) -> Iterator[str]:
    """The calls whose connection is not the one from the settings, by line; and classes under another name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name in SOURCE and alias.asname:
                    yield f"{node.lineno}: {alias.name} under another name"
        elif isinstance(node, ast.Call) and _name(node.func) in SOURCE:
            wanted = SOURCE[_name(node.func)]
            spread = [k.value for k in node.keywords if k.arg is None]
            own = any(isinstance(v, ast.Call) and _name(v.func) == wanted for v in spread)
            named = {k.arg for k in node.keywords if k.arg}
            if not own or node.args or any(n in OURS or n.startswith("sasl") for n in named):
                yield f"{node.lineno}: {_name(node.func)}"
        elif isinstance(node, ast.Call):
            for argument in node.args:
                if _name(argument) in SOURCE:  # such as in a partial
                    yield f"{node.lineno}: {_name(argument)} is passed on"


def test_every_client_takes_its_options_from_the_one_place() -> None:
    found, calls = list[str](), 0
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            calls += text.count("**client_options(") + text.count("**broker_options(")
            found += [f"{path.relative_to(ROOT)}:{it}" for it in _breaches(ast.parse(text))]
    assert not found
    assert calls >= 4, "the search finds the clients at all"


def _created(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for one in (node.func, *node.args):
                if _name(one) in CREATORS:
                    yield _name(one)


def _prefix_read(tree: ast.Module) -> bool:
    """Whether a file knows of the prefix: by the setting's name, as an attribute or a text."""
    return any(
        (isinstance(node, ast.Attribute) and node.attr == "kafka_prefix")
        or (isinstance(node, ast.Name) and node.id == "kafka_prefix")
        or (isinstance(node, ast.Constant) and node.value in ("kafka_prefix", "KAFKA_PREFIX"))
        for node in ast.walk(tree)
    )


def test_names_on_the_cluster_are_known_in_one_place() -> None:
    created, reading = set[tuple[str, str]](), set[str]()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            where = str(path.relative_to(ROOT))
            tree = ast.parse(path.read_text(encoding="utf-8"))
            created |= {(name, where) for name in _created(tree)}
            if _prefix_read(tree):
                reading.add(where)
    wrong = {(name, where) for name, where in created if where not in CREATORS[name]}
    assert wrong == set()
    assert len(created) >= 4, "the search finds the clients at all"
    assert reading == PREFIX_READ_IN


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("AIOKafkaConsumer(**client_options(k))", ["AIOKafkaConsumer"]),
        ("partial(aiokafka.AIOKafkaProducer, x=1)", ["AIOKafkaProducer"]),
        ("new_consumer(kafka)", []),
    ],
)
def test_a_planted_creation_is_found(code: str, found: list[str]) -> None:
    assert list(_created(ast.parse(code))) == found


@pytest.mark.parametrize("code", ["kafka.kafka_prefix + name", 'getattr(kafka, "kafka_prefix")'])
def test_a_planted_name_of_the_cluster_is_found(code: str) -> None:
    assert _prefix_read(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "AIOKafkaConsumer(bootstrap_servers=x)",
        "aiokafka.AIOKafkaProducer(**options)",
        "AIOKafkaProducer(**client_options(x), security_protocol='PLAINTEXT')",
        "AIOKafkaAdminClient(**client_options(x), sasl_mechanism='PLAIN')",
        "KafkaBroker('127.0.0.1:9092')",
        "KafkaBroker(**client_options(x))",
        "from aiokafka import AIOKafkaConsumer as Reader",
        "partial(AIOKafkaConsumer, bootstrap_servers=x)",
    ],
)
def test_a_planted_client_is_found(code: str) -> None:
    assert list(_breaches(ast.parse(code)))


def test_clients_that_do_it_right_pass() -> None:
    code = "AIOKafkaConsumer(**client_options(kafka), group_id=x)\nKafkaBroker(**broker_options(s))"
    assert not list(_breaches(ast.parse(code)))


FETCH_FOR_EVER = {
    "shared/runtime/kafka/clients.py": "gives it our names",
    "shared/runtime/kafka/consumer.py": "a service's consumer",
    "shared/kit/consumer.py": "a subscriber's consumer",
    "shared/kit/to_the_end.py": "the one loop that ends",
    "care/events.py": "`care events tail` follows until it is stopped",
    "bench/contestants/floor.py": "a consumer that is measured",
    "bench/stage.py": "a consumer that is measured",
    "chaos/rig.py": "takes one batch, within a time limit",
}


def test_whoever_reads_to_an_end_does_it_in_the_one_place_that_gives_up() -> None:
    """A loop of one's own waits for ever when the broker falls silent before the end."""
    found = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if ".getmany(" in path.read_text(encoding="utf-8")
    }
    assert found <= FETCH_FOR_EVER.keys()
    assert "shared/kit/to_the_end.py" in found
