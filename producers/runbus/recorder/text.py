"""Makes JSON text of any configuration or info that a user passes."""

from __future__ import annotations

from runbus.recorder.reading import Reading, text_of_object
from runbus.schemas.layout import Omitted
from runbus.schemas.strict_json import strict_json


def json_text(value: object) -> str:
    """Return strict JSON of `value`: tensors as lists, other objects by their text, and what JSON has no word for as
    `strict_json` replaces it.
    """
    return strict_json(value, plain_object)


def plain_object(value: object) -> object:
    """Return plain data in place of an object that JSON does not know."""
    found = Reading().plain(value, 1)
    return text_of_object(value) if found is value or isinstance(found, Omitted) else found
