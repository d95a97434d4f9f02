"""Escapes what a terminal would act on: recorded text comes from agents, tools and models, and is not trusted.

Everything that prints data to people goes through here. JSON and the formats for programs stay exact.
"""

from __future__ import annotations

# Cc: C0, DEL, C1. Cf: bidi controls, zero width characters, tags. Zl, Zp: line and paragraph separators, which some
# terminals take as a new line. Cs: halves of a surrogate pair cannot be written at all. Cn, Co: it
# depends on the terminal's font what they do.
_ACTED_ON = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Cn", "Co"})
# Blank or of no width although their category is a letter's or a mark's: they hide what is beside them.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800") | {
    chr(code) for code in (*range(0x180B, 0x180E), 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
}
_EMOJI = "\ufe0f"  # behind a symbol it asks for the coloured picture, as keyboards write it; elsewhere it is unseen
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MARKS = 4  # combining marks on one character; more are drawn over the lines around it


def printable(text: str) -> str:
    """Return text that a terminal shows and does not act on, on one line.

    What it would act on is written as an escape (`\\n`, `\\x1b`, `\\u202e`). A text without such characters comes back
    as it is, backslashes included, so the escapes are for eyes and not for a parser.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(text))


def _escaped(text: str) -> list[str]:
    import unicodedata  # here: only odd text needs it, and the agent's process imports this module

    found: list[str] = []
    marks, before = 0, ""
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        acts = category in _ACTED_ON or character in _UNSEEN or marks > _MARKS
        found.append(escape(character) if acts and not (character == _EMOJI and before == "So") else character)
        before = category
    return found


def escape(character: str) -> str:
    """Return one character as a backslash and its code."""
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
