"""A value that must never be printed."""

from __future__ import annotations


class Secret:
    """A password or token: `repr`, `str` and logs show `***`; only `reveal()` gives the text.

    Not a dataclass: `dataclasses.asdict` of settings would take it apart.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself; call it only where a client library needs it."""
        return self._text

    def __str__(self) -> str:
        return "***" if self._text else ""

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))
