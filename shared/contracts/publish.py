"""The published contract, generated from the event classes.

Everything here is a pure function of the catalogue except `generate` and `drift`, which compare it
with, or write it to, a working tree. Schemas, the AsyncAPI document and the vocabulary page are
regenerated; an example, once published, is never rewritten: it stands for every record that lies
on a topic since that day. A schema is not regenerated either when that would break its readers.

Only the command line and the tests import this module, because it needs PyYAML.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, cast
from uuid import NAMESPACE_URL, uuid5

import yaml

from .attributes import PATTERNS, TRACEPARENT, UUID
from .event import CATALOGUE, CONTENT_TYPE, MAX_EVENT_BYTES, Envelope, Event, read_envelope
from .names import ADDITIONS, NAMES, REASONS
from .topics import TOPICS

Schema = dict[str, Any]

PUBLISHED: Final = "shared/contracts/published"
SCHEMAS: Final = f"{PUBLISHED}/schemas"
EXAMPLES: Final = f"{PUBLISHED}/examples"
ASYNCAPI: Final = f"{PUBLISHED}/asyncapi.yaml"
VOCABULARY: Final = "docs/vocabulary.md"

_OPEN_CODE: Final = "^[a-z0-9][a-z0-9_]{0,39}$"
_EXAMPLE_TIME: Final = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


class BreakingChangeError(Exception):
    """A published schema would change under its readers. Make a new major version instead."""


# --- JSON Schema ------------------------------------------------------------------------------


def schema_of(event: type[Event]) -> Schema:
    """Return the JSON Schema of an event's data, with every definition inlined.

    Inlined, because readers that know only draft 7 ignore what stands beside a `$ref`.
    """
    raw = event.model_json_schema(mode="validation")
    body = _inline(raw, raw.pop("$defs", {}))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": event.schema_id(),
        "title": event.TYPE,
        "description": _doc(event),
        "type": "object",
        "properties": body.get("properties", {}),
        "required": body.get("required", []),
        "x-topic": event.SOURCE,
        "x-subject": event.SUBJECT,
        "x-sensitivity": event.SENSITIVITY,
        "x-consumers": list(event.CONSUMERS),
    }


def _inline(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Resolve `$ref`, drop generated titles, and write optional fields without their `null`."""
    node = {key: value for key, value in node.items() if key != "title"}
    if "$ref" in node:
        name = str(node.pop("$ref")).rpartition("/")[2]
        target = definitions[name]
        return {
            **(_open_enum(target) if "enum" in target else _inline(target, definitions)),
            **node,
        }
    for key in ("anyOf", "oneOf", "allOf"):
        if key in node:
            node[key] = [_inline(branch, definitions) for branch in node[key]]
    if "anyOf" in node and {"type": "null"} in node["anyOf"]:
        (present,) = (branch for branch in node.pop("anyOf") if branch != {"type": "null"})
        node.pop("default", None)
        node = {**present, **node}
    if "items" in node:
        node["items"] = _inline(node["items"], definitions)
    if "properties" in node:
        node["properties"] = {
            name: _inline(field, definitions) for name, field in node["properties"].items()
        }
    return node


def _open_enum(definition: Schema) -> Schema:
    """Describe a code list: the members a writer uses, and room for members to come."""
    members = [member for member in definition["enum"] if member != "unknown"]
    return {
        "description": definition["description"],
        "type": "string",
        "anyOf": [{"enum": members}, {"pattern": _OPEN_CODE}],
        "x-open-enum": True,
    }


def breaking(before: Schema, after: Schema, path: str = "") -> list[str]:
    """List what a reader of `before` would trip over in `after`.

    Within a major version only optional fields and code-list members may be added; everything
    else that a validator or a program could see counts as breaking.
    """
    found: list[str] = []
    old: dict[str, Schema] = before.get("properties", {})
    new: dict[str, Schema] = after.get("properties", {})
    found += [f"{path}{name}: removed" for name in old.keys() - new.keys()]
    found += [f"{path}{name}: newly required" for name in _names(after) - _names(before)]
    found += [f"{path}{name}: no longer certain" for name in _names(before) - _names(after)]
    for name in old.keys() & new.keys():
        found += breaking(old[name], new[name], f"{path}{name}.")
    if "items" in before and "items" in after:
        found += breaking(before["items"], after["items"], f"{path}[].")
    gone = _members(before) - _members(after)
    found += [f"{path.rstrip('.')}: code {member} removed" for member in gone]
    found += [
        f"{path.rstrip('.')}: {key} changed" for key in _FIXED if before.get(key) != after.get(key)
    ]
    return sorted(found)


_FIXED: Final = (
    *("type", "format", "pattern", "const", "enum", "oneOf", "minimum", "maximum"),
    *("minItems", "maxItems", "x-open-enum", "x-topic", "x-subject", "x-sensitivity"),
)


def _names(schema: Schema) -> set[str]:
    return set(schema.get("required", ()))


def _members(schema: Schema) -> set[str]:
    return set(schema["anyOf"][0]["enum"]) if schema.get("x-open-enum") else set()


# --- examples ---------------------------------------------------------------------------------


def example_of(event: type[Event]) -> dict[str, Any]:
    """Return a whole record as JSON: headers, key and data."""
    subject = f"{event.SUBJECT}/{_example_id(event.SUBJECT)}"
    cause = _example_id("cause")
    envelope = Envelope(
        id=_example_id(event.TYPE),
        source=event.SOURCE,
        type=event.TYPE,
        subject=subject,
        sequence=1,
        time=_EXAMPLE_TIME,
        correlationid=cause,
        causationid=cause,
        facilityid="lakeside-iop",
        actorrole="clinician",
        sensitivity=event.SENSITIVITY,
        dataschema=event.schema_id(),
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    data = json.loads(event.example().data())
    return {"headers": envelope.headers(), "key": subject, "data": data}


def _example_id(kind: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:throughcare:example:{kind}"))


def check_example(record: dict[str, Any]) -> str | None:
    """Say why a published example no longer holds, or nothing when it does.

    Its data must come back from today's class unchanged: a field or a code that is no longer
    known would be dropped in silence.
    """
    try:
        headers = [(name, str(value).encode()) for name, value in record["headers"].items()]
        envelope = read_envelope(headers, str(record["key"]).encode())
        event = CATALOGUE.get(envelope.type)
        if event is None:
            return f"{envelope.type} is no longer in the catalogue"
        known = json.loads(event.parse(json.dumps(record["data"])).data())
    except ValueError as error:
        return f"no longer parses ({type(error).__name__})"
    lost = list(_lost(record["data"], known))
    return f"no longer understood: {', '.join(lost)}" if lost else None


def _lost(published: object, known: object, path: str = "") -> Iterator[str]:
    if isinstance(published, dict) and isinstance(known, dict):
        theirs, ours = cast("Schema", published), cast("Schema", known)
        for name, value in theirs.items():
            if name in ours:
                yield from _lost(value, ours[name], f"{path}{name}.")
            else:
                yield f"{path}{name}"
    elif isinstance(published, list) and isinstance(known, list):
        pairs = zip_longest(cast("list[object]", published), cast("list[object]", known))
        for one, other in pairs:
            yield from _lost(one, other, f"{path}[].")
    elif published != known:
        yield path.rstrip(".")


# --- AsyncAPI ---------------------------------------------------------------------------------


def asyncapi() -> Schema:
    """Return the AsyncAPI 3.0.0 document: a channel per topic, a message per event type."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Throughcare events",
            "version": "1.0.0",
            "description": (
                "Facts about the care path of people in intensive outpatient programs. CloudEvents"
                " 1.0 in Kafka binary mode with JSON data: attributes in `ce_` headers, data in the"
                " value. Order holds within one source and subject, where `ce_sequence` counts 1,"
                " 2, 3 … without a gap. Delivery is at least once: remember the last sequence"
                " applied per source and subject, and skip what is not above it. Ignore fields and"
                " code-list members that you do not know. Everything marked `part2` is protected by"
                " 42 CFR Part 2."
            ),
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": name} for name in ("operational", "part2")],
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {name.rpartition(".")[2]: _channel(name) for name in TOPICS},
        "operations": {f"{name.rpartition('.')[2]}Sends": _operation(name) for name in TOPICS},
        "components": {
            "messages": {event.TYPE: _message(event) for event in _events()},
            "schemas": {"envelope": _envelope_schema()},
        },
    }


def _channel(name: str) -> Schema:
    topic = TOPICS[name]
    return {
        "address": name,
        "title": name,
        "summary": f"Everything that {name.rpartition('.')[2]} says, in order per subject.",
        "description": (
            "The record key is the subject, so that a subject has one partition."
            f" {topic.partitions} partitions, incarnation {topic.incarnation}: both are part of the"
            " contract, since stored positions rest on them; a consumer that finds others stops."
            " Records are kept without a time limit."
        ),
        "messages": {
            event.NAME + f"-v{event.MAJOR}": {"$ref": f"#/components/messages/{event.TYPE}"}
            for event in _events(name)
        },
        "bindings": {
            "kafka": {
                "topic": name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": [topic.cleanup],
                    "retention.ms": -1,
                    "retention.bytes": -1,
                    "max.message.bytes": topic.message_bytes_max,
                },
                "bindingVersion": "0.5.0",
            }
        },
        "x-incarnation": topic.incarnation,
        "x-key": "subject",
        "x-max-event-bytes": MAX_EVENT_BYTES,
    }


def _operation(name: str) -> Schema:
    service = name.rpartition(".")[2]
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{service}"},
        "summary": f"{service} publishes its facts; nobody else writes to this topic.",
        "messages": [
            {"$ref": f"#/channels/{service}/messages/{event.NAME}-v{event.MAJOR}"}
            for event in _events(name)
        ],
    }


def _message(event: type[Event]) -> Schema:
    example = example_of(event)
    attributes: Schema = {
        "ce_type": {"type": "string", "const": event.TYPE},
        "ce_source": {"type": "string", "const": event.SOURCE},
        "ce_subject": {"type": "string", "pattern": f"^{event.SUBJECT}/{UUID}$"},
        "ce_sensitivity": {"type": "string", "const": event.SENSITIVITY},
        "ce_dataschema": {"type": "string", "const": event.schema_id()},
    }
    return {
        "name": event.TYPE,
        "title": event.__name__,
        "summary": _summary(event),
        "description": _doc(event),
        "contentType": CONTENT_TYPE,
        "tags": [{"name": event.SENSITIVITY}],
        "headers": {
            "type": "object",
            "allOf": [{"$ref": "#/components/schemas/envelope"}],
            "properties": attributes,
        },
        "payload": {"$ref": f"./schemas/{event.TYPE}.json"},
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "pattern": f"^{event.SUBJECT}/{UUID}$",
                    "description": "The subject, byte for byte the same as `ce_subject`.",
                },
                "bindingVersion": "0.5.0",
            }
        },
        "examples": [
            {"name": event.NAME, "headers": example["headers"], "payload": example["data"]}
        ],
        "x-consumers": list(event.CONSUMERS),
    }


def _envelope_schema() -> Schema:
    def text(description: str, **more: object) -> Schema:
        return {"type": "string", "description": description, **more}

    def attribute(name: str, description: str, **more: object) -> Schema:
        return text(description, pattern=f"^{PATTERNS[name]}$", **more)

    properties: Schema = {
        "ce_specversion": text("The CloudEvents version.", const="1.0"),
        "ce_id": attribute("id", "The event's id; the same on every delivery."),
        "ce_source": attribute("source", "The topic, and with it the publishing service."),
        "ce_type": attribute("type", "care.<service>.<fact in the past tense>.v<major>."),
        "ce_subject": attribute(
            "subject", "What the fact is about, as kind/uuid; also the record key."
        ),
        "ce_time": attribute(
            "time", "When it was decided, in UTC by the domain clock.", format="date-time"
        ),
        "ce_sequence": attribute(
            "sequence", "Counts 1, 2, 3 … per source and subject without a gap."
        ),
        "ce_correlationid": attribute(
            "correlationid", "Shared by all that follows from one first cause."
        ),
        "ce_causationid": attribute("causationid", "The command, event or deadline right before."),
        "ce_facilityid": attribute("facilityid", "The facility that is responsible."),
        "ce_actorrole": attribute("actorrole", "The role that acted; never a person."),
        "ce_sensitivity": text("Who may see it.", enum=["operational", "part2", "notes"]),
        "ce_dataschema": attribute(
            "dataschema", "Identifies the schema of the data.", format="uri"
        ),
        "ce_traceparent": text("W3C trace context.", pattern=f"^{TRACEPARENT}$"),
        "content-type": text("The media type of the data.", const=CONTENT_TYPE),
    }
    optional = {"ce_traceparent"}
    return {
        "type": "object",
        "description": "CloudEvents attributes as Kafka headers; unknown ones are to be ignored.",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


# --- the vocabulary page ----------------------------------------------------------------------


def vocabulary() -> str:
    """Return the page that lists every event, who hears it, and its clinical name."""
    lines = [
        "# Vocabulary",
        "",
        "Generated by `care contracts generate` from the event classes; do not edit.",
        "How to add to it: [adding-an-event.md](adding-an-event.md).",
        "",
        f"{len(CATALOGUE)} event types on {len(TOPICS)} topics. The subject is the record key.",
        "A field with `?` may be absent.",
    ]
    for topic in TOPICS:
        lines += ["", f"## {topic}", ""]
        lines += ["| event | what happened | data | subject | heard by | sensitivity |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [_row(event) for event in _events(topic)]
    lines += ["", "## Who hears what", "", "| consumer | events |", "|---|---|"]
    for consumer in sorted({name for event in CATALOGUE.values() for name in event.CONSUMERS}):
        heard = ", ".join(f"`{e.TYPE}`" for e in _events() if consumer in e.CONSUMERS)
        lines += [f"| {consumer} | {heard} |"]
    lines += ["", "The console hears every topic and acts on none."]
    lines += ["", "## Clinical names", ""]
    lines += ["| clinical name | event type | why it differs |", "|---|---|---|"]
    for name, types in NAMES.items():
        ours = ", ".join(f"`{one}`" for one in types)
        lines += [f"| {name} | {ours} | {REASONS.get(name, '')} |"]
    lines += ["", "Ours alone:", "", "| type | why |", "|---|---|"]
    lines += [f"| `{name}` | {reason} |" for name, reason in ADDITIONS.items()]
    return "\n".join(lines) + "\n"


def _row(event: type[Event]) -> str:
    fields = ", ".join(
        f"`{name}`" if info.is_required() else f"`{name}`?"
        for name, info in event.model_fields.items()
    )
    heard = ", ".join(event.CONSUMERS) or "console only"
    return (
        f"| `{event.NAME}.v{event.MAJOR}` | {_summary(event)} | {fields} | {event.SUBJECT}"
        f" | {heard} | {event.SENSITIVITY} |"
    )


# --- the working tree -------------------------------------------------------------------------


def render() -> dict[str, str]:
    """Return what is regenerated, by path below the repository's root."""
    document = yaml.dump(
        asyncapi(), Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=100
    )
    files = {f"{SCHEMAS}/{event.TYPE}.json": _json(schema_of(event)) for event in _events()}
    files[ASYNCAPI] = "# Generated by `care contracts generate`; do not edit.\n" + document
    files[VOCABULARY] = vocabulary()
    return files


def generate(root: Path) -> list[str]:
    """Bring the published files of the repository at `root` up to date; return what changed.

    Raises `BreakingChangeError`, and writes nothing, if a published schema would break its readers.
    """
    broken = list(_broken(root))
    if broken:
        raise BreakingChangeError("\n".join(broken))
    wanted = render()
    examples = {f"{EXAMPLES}/{event.TYPE}.json": _json(example_of(event)) for event in _events()}
    wanted |= {path: text for path, text in examples.items() if not (root / path).exists()}
    changed = [path for path, text in wanted.items() if _read(root / path) != text]
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(wanted[path], encoding="utf-8")
    return sorted(changed)


def drift(root: Path) -> list[str]:
    """List every difference between the catalogue and the published files at `root`."""
    found = [f"{line} (breaking)" for line in _broken(root)]
    wanted = render()
    for path, text in wanted.items():
        published = _read(root / path)
        if published != text:
            found.append(f"{path}: {'missing' if published is None else 'changed'}")
    found += [f"{path}: its type is gone" for path in _json_files(root, SCHEMAS) - wanted.keys()]
    examples = {f"{EXAMPLES}/{event.TYPE}.json" for event in _events()}
    present = _json_files(root, EXAMPLES)
    found += [f"{path}: missing" for path in examples - present]
    for path in present:
        try:
            problem = check_example(json.loads((root / path).read_text(encoding="utf-8")))
        except (ValueError, KeyError, AttributeError):
            problem = "is not an example"
        if problem:
            found.append(f"{path}: {problem}")
    return sorted(found)


def _broken(root: Path) -> Iterator[str]:
    for event in _events():
        path = f"{SCHEMAS}/{event.TYPE}.json"
        published = _read(root / path)
        if published is not None:
            for line in breaking(json.loads(published), schema_of(event)):
                yield f"{path}: {line}"


def _json_files(root: Path, folder: str) -> set[str]:
    return {f"{folder}/{path.name}" for path in (root / folder).glob("*.json")}


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _json(value: Schema) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


class _PlainDumper(yaml.SafeDumper):
    """Writes every value out: aliases would make the document harder to read, not shorter."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _events(topic: str | None = None) -> list[type[Event]]:
    """Events in the order of their files, which is the order of the path."""
    return [
        event
        for name in TOPICS
        for event in CATALOGUE.values()
        if name == event.SOURCE and topic in {None, name}
    ]


def _doc(event: type[Event]) -> str:
    return " ".join((event.__doc__ or "").split())


def _summary(event: type[Event]) -> str:
    return (event.__doc__ or "").strip().partition("\n")[0]
