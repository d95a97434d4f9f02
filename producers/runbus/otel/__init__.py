"""Records agents of language models from the spans of OpenTelemetry that their instrumentations make."""

from runbus.otel.limits import Limits
from runbus.otel.processor import RecordLogs, RecordSpans

__all__ = ["Limits", "RecordLogs", "RecordSpans"]
