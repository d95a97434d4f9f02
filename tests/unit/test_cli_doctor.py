"""The doctor names a cause once: what needs a thing that is broken is not asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbus.cli import doctor
from runbus.config.errors import RunBusError
from runbus.config.sources import Sources
from tests.support.journals import stream_in


def test_what_needs_a_broken_thing_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first check of a chain says the cause; the others name the check to mend."""

    def broken(_: Sources) -> str:
        raise RunBusError("ClickHouse did not answer")

    for name in ("_python", "_java", "_disk", "_configuration", "_broker", "_registry"):
        monkeypatch.setattr(doctor, name, lambda _: "well")
    for name in ("_clickhouse", "_migrations", "_exactly_once", "_sink"):
        monkeypatch.setattr(doctor, name, broken)
    found = {result.check: (result.ok, result.text) for result in doctor.diagnose(Sources({}, {}, {}))}
    assert found["clickhouse"] == (False, "ClickHouse did not answer")
    assert found["migrations"] == (False, "not checked: mend clickhouse first")
    assert found["exactly once"] == found["sink"] == (False, "not checked: mend migrations first")
    assert found["broker"] == (True, "well")


def test_the_journals_of_dead_processes_are_named(tmp_path: Path) -> None:
    """One that a living process has is in order; one without is an error that says what to do."""
    sources = Sources(environ={"RUNBUS_RECORDER_JOURNAL": str(tmp_path / "j")})
    assert doctor._journal(Sources()).startswith("none")
    assert doctor._journal(sources).startswith("no journal in")
    stream, _ = stream_in(tmp_path / "j")
    assert doctor._journal(sources) == f"1 journals in {tmp_path / 'j'}, all of living processes"
    stream.journal.leave()
    with pytest.raises(RunBusError, match=r"1 journals of dead processes .*runbus journal flush"):
        doctor._journal(sources)
