"""Writes and reads the state of one stream as bytes: a restart goes on from it as if nothing had happened.

    head, sequence (`SequenceTracker.encode`), envs (index, ints, floats), late episodes, rows between gaps, then JSON:
    named sums of open and of late episodes, and if there are any their words

Numbers are little-endian. A vector environment of 512 costs 64 KiB, a single one 190 bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from runbus.episodes.closed_episode import ClosedEpisode
from runbus.episodes.episode import Episode
from runbus.episodes.gaps import RowsBetweenGaps
from runbus.episodes.open_episodes import FLOATS, INTS
from runbus.episodes.policy import MAX_ENVS
from runbus.episodes.stream import EpisodeStream, StreamEnd
from runbus.episodes.words import EpisodeWords
from runbus.kafka.model import StreamId
from runbus.schemas.events import EndReason
from runbus.schemas.sequence import SequenceTracker

_VERSION = 1
# version, ended, superseded, last_ms, produced, appended_ms (-1 = no FINISHED), bytes of the sequence, envs, late,
# rows between gaps
_HEAD = struct.Struct("<B??qqqIIII")
# env, episode, closed_ms, revision, complete, reason, then the fields of an Episode
_LATE = struct.Struct("<iqqi?B9q3d")
_LATE_HEAD = 6
# the number of gaps that it reported as missing, then each one
_COUNT = struct.Struct("<I")
_GAP = struct.Struct("<2q")
# env, then the fields of a RowsBetweenGaps
_BETWEEN = struct.Struct("<5q")
_REASONS: tuple[EndReason, ...] = get_args(EndReason)


def stream_of(key: bytes) -> StreamId:
    """Return the stream of a key. Raises ValueError if it is none."""
    run_id, agent_id, attempt = key.decode().split("/")
    return StreamId(run_id, agent_id, int(attempt))


def encode_stream(stream: EpisodeStream) -> bytes:
    """Return a stream as bytes."""
    stream.prune(stream.last_ms)
    sequence, opened = stream.received.encode(), stream.open
    envs, ints, floats = opened.known()
    late = list(stream.late.values())
    between = [(env, *rows) for env, found in stream.neighbours.by_env.items() for rows in found]
    finished = stream.finished or StreamEnd(-1, -1)
    head = _HEAD.pack(
        _VERSION,
        stream.ended,
        stream.superseded,
        stream.last_ms,
        finished.produced,
        finished.appended_ms,
        len(sequence),
        len(envs),
        len(late),
        len(between),
    )
    parts = [head, sequence, envs.tobytes(), ints.tobytes(), floats.tobytes()]
    parts += [_late_bytes(one) for one in late]
    parts += [_BETWEEN.pack(*rows) for rows in between]
    extras = [one.rows.extras for one in late]
    words = [None if one.rows.words is None else one.rows.words.plain() for one in late]
    said = bool(opened.words) or any(words)
    if opened.extras or any(extras) or said:
        sums = [list(opened.extras.items()), extras]
        texts = [[(env, found.plain()) for env, found in opened.words.items()], words] if said else []
        parts.append(json.dumps([*sums, *texts]).encode())
    return b"".join(parts)


def _late_bytes(one: ClosedEpisode) -> bytes:
    rows = one.rows
    head = _LATE.pack(
        one.env,
        one.episode,
        one.closed_ms,
        one.revision,
        one.complete,
        _REASONS.index(one.reason),
        *rows.ints,
        *rows.floats,
    )
    return b"".join([head, _COUNT.pack(len(one.reported)), *(_GAP.pack(*gap) for gap in one.reported)])


def decode_stream(stream: EpisodeStream, data: bytes) -> None:
    """Fill an empty stream with what `encode_stream` wrote. Raises ValueError if it is something else."""
    try:
        _decode(stream, data)
    except (struct.error, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"{len(data)} bytes are no state of an episode stream: {error}") from error


def _decode(stream: EpisodeStream, data: bytes) -> None:
    version, ended, superseded, last_ms, produced, appended_ms, size, envs, late, between = _HEAD.unpack_from(data)
    if version != _VERSION:
        raise ValueError(f"version {version} of the state, this version reads {_VERSION}")
    rest = _Rest(data, _HEAD.size)
    stream.ended, stream.superseded, stream.last_ms = ended, superseded, last_ms
    stream.finished = StreamEnd(produced, appended_ms) if produced >= 0 else None
    stream.received = SequenceTracker.decode(rest.take(size))
    index, ints = rest.array("<i8", envs), rest.array("<i8", envs * INTS)
    floats = rest.array("<f8", envs * FLOATS)
    if envs and not 0 <= int(index[0]) <= int(index[-1]) < MAX_ENVS:
        raise ValueError(f"envs {index[0]} to {index[-1]} in the state of an episode stream")
    stream.open.restore(index, ints.reshape(envs, INTS), floats.reshape(envs, FLOATS))
    closed = [_late(rest) for _ in range(late)]
    for env, *rows in _BETWEEN.iter_unpack(rest.take(between * _BETWEEN.size)):
        stream.neighbours.by_env.setdefault(env, []).append(RowsBetweenGaps(*rows))
    if rest.left:
        _named(stream, closed, *json.loads(rest.take(rest.left)))
    stream.late = {(one.env, one.episode): one for one in closed}


def _named(
    stream: EpisodeStream,
    closed: list[ClosedEpisode],
    open_extras: list[Any],
    late_extras: list[Any],
    open_words: Sequence[Any] = (),
    late_words: Sequence[Any] = (),
) -> None:
    """Take back the named sums and the words of the open and of the late episodes."""
    stream.open.extras = dict(open_extras)
    for one, sums in zip(closed, late_extras, strict=True):
        one.rows.extras = sums
    stream.open.words = {env: EpisodeWords.of_plain(plain) for env, plain in open_words}
    for one, plain in zip(closed, late_words, strict=bool(late_words)):
        one.rows.words = None if plain is None else EpisodeWords.of_plain(plain)


def _late(rest: _Rest) -> ClosedEpisode:
    values = _LATE.unpack(rest.take(_LATE.size))
    env, episode, closed_ms, revision, complete, reason = values[:_LATE_HEAD]
    rows = Episode(*values[_LATE_HEAD:])
    (count,) = _COUNT.unpack(rest.take(_COUNT.size))
    reported = tuple((first, last) for first, last in _GAP.iter_unpack(rest.take(count * _GAP.size)))
    return ClosedEpisode(env, episode, rows, _REASONS[reason], closed_ms, revision, complete, reported)


class _Rest:
    """The bytes that are not read yet."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    @property
    def left(self) -> int:
        """The number of bytes that are not read yet."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """Return the next bytes. Raises ValueError if there are not as many."""
        if self.left < size:
            raise ValueError(f"{len(self._data)} bytes: the state of an episode stream is cut short")
        self._at += size
        return self._data[self._at - size : self._at]

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        """Return the next values of 8 bytes each. Raises ValueError if there are not as many."""
        return np.frombuffer(self.take(8 * count), dtype)
