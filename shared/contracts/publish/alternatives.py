"""The alternatives of a schema (`anyOf`, `oneOf`), and whether two of them can match one value. Pure."""

from __future__ import annotations

from typing import Any, Final, cast

from .difference import same, text_of

Schema = dict[str, Any]
_OBJECTS: Final = frozenset({"object"})
TYPES: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


def types_of(schema: Any) -> frozenset[str]:
    """The types of values that a schema may accept. A number may be an integer."""
    if not isinstance(schema, dict):
        return TYPES if schema else frozenset()
    values = values_of(cast("Schema", schema))
    return _named(cast("Schema", schema)) if values is None else frozenset(map(_type_of, values))


def _named(schema: Schema) -> frozenset[str]:
    named: Any = schema.get("type")
    if named is None:
        return TYPES
    found = frozenset({named} if isinstance(named, str) else named)
    return found | {"integer"} if "number" in found else found


def _type_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "integer" if float(value).is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def values_of(schema: Schema) -> list[Any] | None:
    """The values that alone are accepted, by `const` or `enum`; None when there is no such list."""
    lists: list[list[Any]] = [schema["enum"]] if "enum" in schema else []
    if "const" in schema:
        lists.append([schema["const"]])
    if not lists:
        return None
    kinds = _named(schema)
    return [
        value
        for value in lists[0]
        if _type_of(value) in kinds and all(any(same(value, one) for one in more) for more in lists)
    ]


def forms_of(schema: Any) -> list[Any] | None:
    """The alternatives of a schema, each with what the schema says beside them. None: that can't be put together."""
    if not isinstance(schema, dict):
        return [schema]
    known = cast("Schema", schema)
    keys = [key for key in ("anyOf", "oneOf") if key in known]
    if not keys:
        return [known]
    if len(keys) > 1:
        return None
    beside = {key: one for key, one in known.items() if key not in keys}
    forms = [_both(beside, branch) for branch in known[keys[0]] if branch is not False]
    return None if any(form is None for form in forms) else forms


def disjoint(one: Any, other: Any) -> bool:
    """Whether it is certain that no value matches both."""
    for schema, against in ((one, other), (other, one)):
        forms = forms_of(schema)
        if forms is None:
            return False
        if len(forms) != 1 or forms[0] is not schema:
            return all(disjoint(form, against) for form in forms)
    kinds = types_of(one) & types_of(other)
    if not kinds:
        return True
    if not isinstance(one, dict) or not isinstance(other, dict):
        return False
    return _apart(cast("Schema", one), cast("Schema", other), kinds)


def _apart(one: Schema, other: Schema, kinds: frozenset[str]) -> bool:
    values = [values_of(schema) for schema in (one, other)]
    if values[0] is not None and values[1] is not None:
        return not {_number(value) for value in values[0]} & {_number(value) for value in values[1]}
    if kinds != _OBJECTS:
        return False
    sure = {*one.get("required", ()), *other.get("required", ())}
    fields = [schema.get("properties", {}) for schema in (one, other)]
    return any(
        disjoint(fields[0][name], fields[1][name])
        for name in sure & fields[0].keys() & fields[1].keys()
    )


def _number(value: object) -> str:
    """As a validator compares: 1 and 1.0 are one value."""
    whole = isinstance(value, float) and value.is_integer()
    return text_of(int(cast("float", value)) if whole else value)


def _both(one: Any, other: Any) -> Any:
    """A schema of what both accept. None when it can't be written without `allOf`."""
    if one is False or other is False:
        return False
    merged: Schema = {**cast("Schema", one)} if isinstance(one, dict) else {}
    added: Schema = cast("Schema", other) if isinstance(other, dict) else {}
    if _closed_to(merged, added) or _closed_to(added, merged):
        return None
    for key, new in added.items():
        if key not in merged or same(merged[key], new):
            merged[key] = new
        elif key == "required":
            merged[key] = sorted({*merged[key], *new})
        elif key == "properties":
            fields = {name: _both(merged[key].get(name, True), one) for name, one in new.items()}
            if any(field is None for field in fields.values()):
                return None
            merged[key] = {**merged[key], **fields}
        else:
            return None
    return merged


def _closed_to(one: Schema, other: Schema) -> bool:
    """Whether a schema says something of the fields that only the other one names."""
    says = {"additionalProperties", "patternProperties"} & one.keys()
    return bool(says) and not other.get("properties", {}).keys() <= one.get("properties", {}).keys()
