"""The page at ``/docs``: the OpenAPI document to read, in one HTML text without anything from elsewhere."""

from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2430; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1.5rem 4rem; }
h1 { margin-bottom: 0; } h2 { border-bottom: 1px solid #ccd3dc; margin-top: 3rem; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
nav a { margin-right: 1em; white-space: nowrap; } a { color: #0b5cad; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-size: .92em; }
td, th { border-bottom: 1px solid #e3e8ee; padding: .25rem .6rem .25rem 0; text-align: left; vertical-align: top; }
.verb { display: inline-block; min-width: 4.5em; font-weight: 600; }
@media (prefers-color-scheme: dark) { body { background: #14181f; color: #dde3ea; } a { color: #7db8f5; }
h2, td, th { border-color: #333c48; } }
"""


def page(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document."""
    schemas = document["components"]["schemas"]
    names = [name for name in schemas if not name.endswith(("_create", "_update"))]
    links = "".join(f'<a href="#{name}">{escape(name.replace("_", " "))}</a> ' for name in names)
    parts = [_section(name, document, schemas) for name in names]
    extensions = "".join(
        f"<tr><td><code>{escape(item['alias'])}</code></td><td>{escape(item['description'])}</td></tr>"
        for item in document["x-extensions"]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Networking API</title><style>{STYLE}</style></head><body><h1>Networking API v2.0</h1>"
        f'<p>{escape(document["info"]["description"])} Machine-readable: <a href="openapi.json">openapi.json</a>.</p>'
        "<p>C: may be given on create (bold: must be); U: may be changed; V: is shown.</p>"
        f'<nav>{links}<a href="#quotas">quotas</a> <a href="#extensions">extensions</a></nav>{"".join(parts)}'
        f'<h2 id="quotas">Quotas</h2>{_operations("/quotas", document)}'
        f'<h2 id="extensions">Extensions</h2>{_operations("/extensions", document)}'
        f"<table>{extensions}</table></body></html>"
    )


def _section(name: str, document: dict[str, Any], schemas: dict[str, Any]) -> str:
    made = schemas.get(f"{name}_create", {"properties": {}, "required": []})
    changed = schemas.get(f"{name}_update", {"properties": {}})
    shown = schemas[name]["properties"]
    marks = {"C": made["properties"], "U": changed["properties"], "V": shown}
    rows = "".join(
        _row(
            attribute, schema, "".join(mark for mark, known in marks.items() if attribute in known),
            attribute in made["required"],
        )
        for attribute, schema in (marks["C"] | marks["U"] | marks["V"]).items()
    )  # fmt: skip
    title = escape(name.replace("_", " ").capitalize())
    return f'<h2 id="{name}">{title}</h2>{_operations(_collection(name, document), document)}<table>{rows}</table>'


def _operations(collection: str, document: dict[str, Any]) -> str:
    return "".join(
        f'<div><span class="verb">{method.upper()}</span> <code>/v2.0{escape(path)}</code> '
        f"{escape(operation['summary'])}</div>"
        for path, item in document["paths"].items()
        if path == collection or path.startswith(f"{collection}/")
        for method, operation in item.items()
        if method != "parameters"
    )


def _collection(name: str, document: dict[str, Any]) -> str:
    for path, item in document["paths"].items():
        operation = item.get("get", {})
        content = operation.get("responses", {}).get("200", {}).get("content", {})
        for schema in content.get("application/json", {}).get("schema", {}).get("properties", {}).values():
            if schema.get("items", {}).get("$ref") == f"#/components/schemas/{name}":
                return str(path)
    return f"/{name}"


def _row(attribute: str, schema: dict[str, Any], flags: str, required: bool) -> str:
    shown = f"<b>{escape(attribute)}</b>" if required else escape(attribute)
    return (
        f"<tr><td><code>{shown}</code></td><td>{flags}</td><td>{escape(_kind(schema))}</td>"
        f"<td>{escape(schema.get('description', ''))}</td></tr>"
    )


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(item) for item in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if "properties" in schema:
        return "{" + ", ".join(schema["properties"]) + "}"
    return str(schema.get("format") or schema.get("type", "any"))
