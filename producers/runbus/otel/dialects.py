"""Knows which conventions a span follows: by its attributes, not by a version, as both may be in one trace. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runbus.otel import genai, openinference
from runbus.otel.reading import Attributes, Event, Kind, Reading, outcome


def kind_of(attributes: Attributes) -> Kind:
    """Return what a span is about; "" = it is none of ours, or does not say it yet."""
    return openinference.kind_of(attributes) or genai.kind_of(attributes)


def agent_of(attributes: Attributes, span_name: str) -> str:
    """Return the name of the agent whose span this is; empty if it has none (yet)."""
    if openinference.kind_of(attributes):
        return openinference.agent_of(attributes, span_name)
    return genai.agent_of(attributes, span_name)


def read(
    attributes: Attributes,
    events: Sequence[Event],
    span_name: str,
    failed: bool,
    description: str,
    begun_as: Kind = "",
) -> Reading:
    """Return what a span that ended says.

    Args:
        attributes, events, span_name: of the span; the events with those that came as log records.
        failed: its status is ERROR.
        description: of the status.
        begun_as: what it was about when it began: what the attributes said then may be dropped since.
    """
    status, error = outcome(failed, attributes, events, description)
    kind = kind_of(attributes) or begun_as
    if not kind:
        return Reading(status=status, error=error)
    flat = openinference.kind_of(attributes) or (begun_as and not genai.kind_of(attributes))
    found = openinference.read(attributes, kind, span_name) if flat else genai.read(attributes, events, kind, span_name)
    if status != "ok":
        found.status, found.error = status, error
    return found
