"""The parts that the JSON Schema of a playbook is made of, and the forms of its texts."""

Schema = dict[str, object]

NAME = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"
"""Names of features, segments, placements and experiences: conditions can spell them."""
DURATION = "^[1-9][0-9]{0,5}(s|m|h|d|w)$"
SHARE = r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)%$"
DAY = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

ONE_OR_MORE: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
CONDITION: Schema = {
    "description": "A condition. Quote the whole of it in single quotes where it starts with a quote or !.",
    "type": ["string", "boolean"],
}


def object_of(doc: str, needs: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    """An object with these keys and no others."""
    schema: Schema = {
        "description": doc,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return {**schema, "required": list(needs)} if needs else schema


def text(doc: str, **more: object) -> Schema:
    """A text."""
    return {"description": doc, "type": "string", **more}


def choice(doc: str, values: tuple[str, ...]) -> Schema:
    """One of a few words."""
    return {"description": doc, "enum": list(values)}


def integer(doc: str, **more: object) -> Schema:
    """A whole number."""
    return {"description": doc, "type": "integer", **more}


def flag(doc: str) -> Schema:
    """True or false."""
    return {"description": doc, "type": "boolean"}


def amount(doc: str) -> Schema:
    """An amount in major units, or a number, as written."""
    return {"description": doc, "type": ["number", "string"]}


def list_of(doc: str, items: Schema) -> Schema:
    """A list."""
    return {"description": doc, "type": "array", "items": items}


def map_of(doc: str, values: Schema, names: str = "") -> Schema:
    """An object whose keys are free, or of one form."""
    schema: Schema = {"description": doc, "type": "object", "additionalProperties": values}
    return {**schema, "propertyNames": {"pattern": names}} if names else schema


def ref(name: str) -> Schema:
    """A definition of the playbook by its name."""
    return {"$ref": f"#/$defs/{name}"}


def share(doc: str) -> Schema:
    """A percentage."""
    return text(doc, pattern=SHARE)


def keys(schema: Schema) -> tuple[str, ...]:
    """The keys an object of this schema may have, in the order documented."""
    properties = schema["properties"]
    assert isinstance(properties, dict)  # noqa: S101 - only objects are asked
    return tuple(properties)


def required(schema: Schema) -> tuple[str, ...]:
    """The keys it must have."""
    names = schema.get("required", [])
    assert isinstance(names, list)  # noqa: S101 - built here
    return tuple(names)
