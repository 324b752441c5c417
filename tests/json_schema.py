"""The part of JSON Schema that docs/*.schema.json use, so that the tests need
no package for it. check() gives what is wrong, as lines "path: what"."""
import re

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
KNOWN = {"$schema", "$defs", "$ref", "title", "description", "type", "required", "properties",
         "additionalProperties", "propertyNames", "items", "minItems", "pattern", "const", "enum",
         "anyOf"}


def is_type(value, name):
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def check(value, schema, root=None, path="$"):
    root = root or schema
    unknown = set(schema) - KNOWN
    assert not unknown, f"the schema uses {unknown}, which this checker does not know"
    if "$ref" in schema:
        return check(value, root["$defs"][schema["$ref"].split("/")[-1]], root, path)
    found = []
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and not any(is_type(value, name) for name in names):
        return [f"{path}: is no {' or '.join(names)}"]
    if "const" in schema and value != schema["const"]:
        found.append(f"{path}: is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: is none of {schema['enum']}")
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        found.append(f"{path}: {value!r} does not match {schema['pattern']}")
    if "anyOf" in schema and all(check(value, option, root, path) for option in schema["anyOf"]):
        found.append(f"{path}: is none of what is allowed")
    if isinstance(value, dict):
        found += check_object(value, schema, root, path)
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            found.append(f"{path}: has {len(value)} items")
        for index, item in enumerate(value):
            found += check(item, schema.get("items", {}), root, f"{path}[{index}]")
    return found


def check_object(value, schema, root, path):
    found = [f"{path}: {name} is missing" for name in schema.get("required", []) if name not in value]
    for name, item in value.items():
        found += check(name, schema.get("propertyNames", {}), root, f"{path} name {name}")
        inside = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
        if inside is False:
            found.append(f"{path}: {name} is not expected")
        else:
            found += check(item, inside, root, f"{path}.{name}")
    return found
