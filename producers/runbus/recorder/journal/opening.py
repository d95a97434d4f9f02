"""Begins the journal of a stream; a recorder whose journal cannot begin goes on without one, and says so."""

from __future__ import annotations

from runbus.recorder.journal.journal import Journal
from runbus.recorder.journal.settings import JournalSettings
from runbus.recorder.journal.stream import JournaledSteps, JournaledStream
from runbus.recorder.stream_complaints import StreamComplaints
from runbus.schemas.events import RunEvent


def begin_journal(started: RunEvent, settings: JournalSettings, complaints: StreamComplaints) -> Journal | None:
    """Return the journal of a stream that begins; None if the folder cannot hold one."""
    try:
        return Journal.begin(started, settings)
    except OSError as error:
        complaints.no_journal(error)
        return None


def stream_class(settings: JournalSettings) -> type[JournaledStream]:
    """Return the class of the streams that keep their rows as the settings say."""
    return JournaledSteps if settings.mode == "step" else JournaledStream
