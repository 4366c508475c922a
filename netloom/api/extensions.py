"""``/extensions``: what this server offers beyond the core, as clients look it up."""

from collections.abc import Collection
from typing import Any

from netloom.api.http import Answer, answer_json
from netloom.model.errors import HTTPNotFound
from netloom.model.extensions import EXTENSIONS, Extension


class ExtensionNotFound(HTTPNotFound):
    """No extension has this alias."""

    message = "Extension with alias {alias} does not exist"


def list_extensions(withheld: Collection[str]) -> Answer:
    """All extensions but for those with these aliases."""
    return answer_json(
        200, {"extensions": [_view(item, withheld) for item in EXTENSIONS if item.alias not in withheld]}
    )


def show_extension(alias: str, withheld: Collection[str]) -> Answer:
    """One extension. Raises ``ExtensionNotFound``."""
    for item in EXTENSIONS:
        if item.alias == alias and alias not in withheld:
            return answer_json(200, {"extension": _view(item, withheld)})
    raise ExtensionNotFound(alias=alias)


def _view(item: Extension, withheld: Collection[str]) -> dict[str, Any]:
    # The name of the tags' extension lists what can have tags, and what is withheld is not there at all.
    name = ", ".join(part for part in item.name.split(", ") if part not in withheld)
    return {
        "name": name,
        "alias": item.alias,
        "description": item.description,
        "updated": item.updated,
        "links": [],
    }
