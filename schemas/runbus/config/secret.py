"""A value that must never be printed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """A password or token: `repr`, `str` and logs show `***`; only `reveal()` gives the text."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        """Return the secret itself; call it only where a client library needs it."""
        return self._text

    def __str__(self) -> str:
        return "***" if self._text else ""

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __bool__(self) -> bool:
        return bool(self._text)
