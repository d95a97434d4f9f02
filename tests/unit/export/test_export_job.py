"""What is exported of a run, what is counted, and what is left of an export that fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbus.config.progress import Unit
from runbus.export.api import Choice
from runbus.export.errors import CannotExport, needing
from runbus.export.job import export, left_out_text
from runbus.export.target import whole
from runbus.recorder import Recorder
from runbus.replay import Episode
from tests.unit.export.recorded_episodes import recorded


class Kept:
    """A writer in memory; it has no word for episodes of one step."""

    def __init__(self) -> None:
        self.episodes: list[Episode] = []
        self.description: Mapping[str, Any] = {}
        self.abandoned = False

    def write(self, episode: Episode) -> str:
        """Keep it."""
        if len(episode) == 1:
            return "are short"
        self.episodes.append(episode)
        return ""

    def close(self, description: Mapping[str, Any]) -> list[str]:
        """Keep the description."""
        self.description = description
        return ["a note"]

    def abandon(self) -> None:
        """Remember it."""
        self.abandoned = True


def lengths(*counts: int) -> list[Episode]:
    """Return episodes of these lengths; the last has no end."""

    def play(recorder: Recorder) -> None:
        for count in counts:
            recorder.reset(0)
            for step in range(count):
                recorder.step(0, 1, step == count - 1 and count != counts[-1], False, 0)

    return recorded(play)


def test_what_is_left_out_is_counted_by_its_reason() -> None:
    """Chosen episodes go to the writer, the others into the sums that user and file are told of."""
    writer, seen = Kept(), []

    def progress(what: str, done: int, total: int | None = None, unit: Unit = "") -> None:
        seen.append((done, total))

    outcome = export(
        lengths(3, 1, 2, 5),
        writer,
        Choice(),
        {"run_id": "run-1"},
        total=15,
        on_progress=progress,
    )
    assert [len(episode) for episode in writer.episodes] == [3, 2]
    assert (outcome.episodes, outcome.rows, outcome.notes) == (2, 7, ["a note"])
    assert left_out_text(outcome) == "1 episodes are short; 1 episodes are not complete (--incomplete takes them)"
    assert writer.description == {"run_id": "run-1", "episodes": 2, "rows": 7, "left_out": outcome.left_out}
    assert seen == [(4, 15), (6, 15), (9, 15), (15, 15)]
    assert not writer.abandoned


def test_episodes_of_a_span_of_time() -> None:
    """`--from` is in it, `--to` is not; what counts is when an episode began."""
    episodes = lengths(2, 3, 4, 5)
    timed = [replace(one, rows=replace(one.rows, ts=one.rows.ts * 0 + 10 * n)) for n, one in enumerate(episodes)]
    writer = Kept()
    outcome = export(timed, writer, Choice(10, 30, incomplete=True), {})
    assert [len(episode) for episode in writer.episodes] == [3, 4]
    assert outcome.left_out == {"began outside of --from and --to": 2}


def test_an_export_of_nothing_says_why() -> None:
    """No file is made of it."""
    writer = Kept()
    with pytest.raises(CannotExport, match="nothing to export: 1 episodes are not complete"):
        export(lengths(4), writer, Choice(), {})
    with pytest.raises(CannotExport, match="the run has no episode"):
        export([], writer, Choice(), {})
    assert writer.abandoned


def test_a_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    """A block that ends well leaves its file or folder and nothing else; one that does not leaves nothing."""
    with whole(tmp_path / "a") as place:
        place.write_text("x")
        assert not (tmp_path / "a").exists()
    with whole(tmp_path / "b") as place:
        (place / "data").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "c")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~_umask(tmp_path)


def interrupted(path: Path) -> None:
    """Write, and be stopped."""
    with whole(path) as place:
        place.write_text("x")
        raise KeyboardInterrupt


def overtaken(path: Path) -> None:
    """Write, while somebody else makes a folder of that name."""
    with whole(path) as place:
        place.write_text("x")
        path.mkdir()


def _umask(folder: Path) -> int:
    (folder / "probe").touch()
    mode = (folder / "probe").stat().st_mode & 0o777
    return 0o666 & ~mode


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """What is there stays, also if it came meanwhile; a place that cannot be is said."""
    (tmp_path / "a").write_text("mine")
    with pytest.raises(CannotExport, match=r"a is there already: .*--output"), whole(tmp_path / "a"):
        pytest.fail("it was begun")
    with pytest.raises(CannotExport, match="is there already"):
        overtaken(tmp_path / "b")
    with pytest.raises(CannotExport, match="is no folder"), whole(tmp_path / "none" / "c"):
        pytest.fail("it was begun")
    assert (tmp_path / "a").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_missing_library_is_one_sentence() -> None:
    """It says what to install."""
    with pytest.raises(CannotExport, match=r"needs minari: pip install 'runbus\[export\]'"), needing("minari"):
        raise ModuleNotFoundError("No module named 'minari'")
