"""Keeps the layouts that all values of one file have: a file has columns of one type."""

from __future__ import annotations

from runbus.export.errors import CannotExport
from runbus.replay import Episode
from runbus.replay.rows import Layouts, common
from runbus.schemas.layout import NONE, Layout

_SHOWN = 80


class OneLayout:
    """The layouts of action and observation that every episode so far has.

    Args:
        advice: what to do where there are several.

    Attributes:
        found: action's and observation's.
    """

    def __init__(self, advice: str) -> None:
        self.found: Layouts = (NONE, NONE)
        self._advice = advice

    def take(self, episode: Episode) -> None:
        """Take the layouts of an episode. Raises CannotExport if they are other ones."""
        both = common(self.found, episode.rows.layouts)
        if both is None:
            pairs = zip(("actions", "observations"), self.found, episode.rows.layouts, strict=True)
            what, mine, theirs = next((w, a, b) for w, a, b in pairs if a != b and NONE not in (a, b))
            stream = episode.stream
            raise CannotExport(
                f"the {what} have several layouts, {layout_text(mine)} and (agent {stream.agent_id}, episode "
                f"{episode.episode}) {layout_text(theirs)}: {self._advice}"
            )
        self.found = both


def layout_text(layout: Layout) -> str:
    """Return a layout as docs/recorded-values.md writes it, cut to a readable length."""
    text = f"{layout.dtype}[{','.join(map(str, layout.shape))}]" if layout.shape else layout.dtype or "none"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def layout_document(layout: Layout) -> dict[str, object]:
    """Return a layout as JSON data."""
    return {"dtype": layout.dtype, "shape": list(layout.shape)}
