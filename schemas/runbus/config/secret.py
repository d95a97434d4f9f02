"""Holds a value that must never be printed."""

from __future__ import annotations

from pathlib import Path


class Secret:
    """A password or token: `repr`, `str` and logs show `***`; only `reveal()` gives the text.

    Not a dataclass: `dataclasses.asdict` of settings would copy its text.

    Args:
        text: the secret, as it is now.
        file: the file that holds it. `reveal` reads it again, so a new secret is taken over.
    """

    __slots__ = ("_text", "file")

    def __init__(self, text: str, file: Path | None = None) -> None:
        self._text = text
        self.file = file

    def reveal(self) -> str:
        """Return the secret itself, the newest of its file; call it only for a client library.

        A file that cannot be read just now, or is empty because it is being written, leaves the secret as it was.
        """
        if self.file is not None:
            try:
                self._text = read_secret(self.file) or self._text
            except (OSError, UnicodeDecodeError):
                return self._text
        return self._text

    def __str__(self) -> str:
        return "***" if self._text else ""

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text and other.file == self.file

    def __hash__(self) -> int:
        return hash((Secret, self.file or self._text))


def read_secret(path: Path) -> str:
    """Return what a file holds, without the line break at its end. Raises OSError or UnicodeDecodeError."""
    return path.read_text(encoding="utf-8").rstrip("\r\n")
