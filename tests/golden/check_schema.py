#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_schema.py SCHEMA DOCUMENT… [--page docs/json.md]: every document must be as the schema says, and the page must name
every key of the schema. Uses python3's jsonschema where it is installed, and always its own reading of the few words that the
schema uses."""

import json
import math
import re
import sys

KNOWN = {"$schema", "title", "description", "definitions", "type", "enum", "const", "required", "properties", "additionalProperties",
         "items", "minimum", "anyOf", "$ref"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_type(value, name):
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def complaints(value, schema, root, path="$"):
    unknown = set(schema) - KNOWN
    if unknown:
        yield f"{path}: the schema uses {unknown}, which this check does not know"
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].lstrip("#/").split("/"):
            target = target[part]
        yield from complaints(value, target, root, path)
        return
    if "anyOf" in schema:
        tried = [list(complaints(value, inner, root, path)) for inner in schema["anyOf"]]
        if all(tried):
            yield from tried[-1]
    if "const" in schema and value != schema["const"]:
        yield f"{path}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(is_type(value, t) for t in types):
        yield f"{path}: {value!r} is no {' or '.join(types)}"
        return
    if "minimum" in schema and is_type(value, "number") and value < schema["minimum"]:
        yield f"{path}: {value} < {schema['minimum']}"
    if isinstance(value, dict):
        for key in schema.get("required", []):
            if key not in value:
                yield f"{path}: no {key}"
        for key, inner in value.items():
            if key in schema.get("properties", {}):
                yield from complaints(inner, schema["properties"][key], root, f"{path}.{key}")
            elif schema.get("additionalProperties", True) is False:
                yield f"{path}: {key} is not in the schema"
    if isinstance(value, list) and "items" in schema:
        for i, inner in enumerate(value):
            yield from complaints(inner, schema["items"], root, f"{path}[{i}]")


def keys_of(schema):
    if isinstance(schema, dict):
        for key in schema.get("properties", {}):
            yield key
        for inner in schema.values():
            yield from keys_of(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from keys_of(inner)


def refuse(text):
    raise ValueError(f"{text} is no JSON")


def main(args):
    page = None
    if "--page" in args:
        at = args.index("--page")
        page = args[at + 1]
        del args[at:at + 2]
    with open(args[0], encoding="utf-8") as f:
        schema = json.load(f)
    bad = []
    for name in args[1:]:
        with open(name, encoding="utf-8") as f:
            document = json.load(f, parse_constant=refuse)
        bad += [f"{name}: {c}" for c in complaints(document, schema, schema)]
        try:
            import jsonschema
            bad += [f"{name}: {e.message}" for e in jsonschema.Draft7Validator(schema).iter_errors(document)]
        except ImportError:
            print("jsonschema is not installed: checked with this program's own reading only")
    if page:
        with open(page, encoding="utf-8") as f:
            named = {part for name in re.findall(r"`([a-z0-9_.\[\]]+)`", f.read()) for part in re.split(r"[.\[\]]+", name)}
        bad += [f"{page} does not explain {key}" for key in sorted(set(keys_of(schema)) - named - {"schema"})]
    for line in bad[:20]:
        print(line)
    print(f"{len(bad)} complaints" if bad else "ok")
    return 1 if bad else 0


sys.exit(main(sys.argv[1:]))
