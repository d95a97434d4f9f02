"""Windows of 1 s and 60 s: what falls into which, exact sums, sketches that merge, and the bound on their size."""

from __future__ import annotations

import math

import numpy as np
from datasketches import kll_doubles_sketch

from runbus.live_metrics.measure import SKETCH_K, Measure, Values
from runbus.live_metrics.windows import CLOCK_RESET_MS, SKETCH_BYTES, EndedEpisode, NewRows, Windows
from runbus.schemas.events import Window

S = 1_000_000
START = 1_800_000_000 * S  # a whole minute


def _add(windows: Windows, at: list[float], *, ended: tuple[EndedEpisode, ...] = (), watermark_ms: int = 0) -> int:
    """Add rows at so many seconds after START; the reward of each is its second."""
    ts = np.array([START + round(t * S) for t in at], np.int64)
    rows = NewRows(ts, int(ts.min()), int(ts.max()), None, Values.of(np.floor(np.array(at))))
    return windows.add(rows, ended, watermark_ms)


def _find(windows: Windows, name: str, seconds: int) -> list[tuple[float, int, float]]:
    """Return (start in seconds after START, count, sum), the full window first."""
    found = [w for w in windows.now() if (w.name, w.seconds) == (name, seconds)]
    return [((w.start - START) / S, w.count, w.sum) for w in found]


def test_the_running_and_the_last_full_window_of_both_lengths() -> None:
    """A row of a later window makes the running one full; what was full before is gone."""
    windows = Windows()
    _add(windows, [0.0, 0.5])
    assert _find(windows, "reward", 1) == [(0.0, 2, 0.0)]
    _add(windows, [0.9, 1.0, 1.1, 1.2])
    assert _find(windows, "reward", 1) == [(0.0, 3, 0.0), (1.0, 3, 3.0)]
    _add(windows, [2.0])
    assert _find(windows, "reward", 1) == [(1.0, 3, 3.0), (2.0, 1, 2.0)]
    assert _find(windows, "reward", 60) == [(0.0, 7, 5.0)]
    _add(windows, [60.5])
    assert _find(windows, "reward", 60) == [(0.0, 7, 5.0), (60.0, 1, 60.0)]
    assert _find(windows, "reward", 1) == [(2.0, 1, 2.0), (60.0, 1, 60.0)]


def test_a_batch_may_span_any_time() -> None:
    """Rows over minutes fall into the minute before the newest and the newest, and so do the seconds."""
    windows = Windows()
    _add(windows, [0.0])
    _add(windows, [float(t) for t in range(200)])
    assert _find(windows, "reward", 60) == [(120.0, 60, float(sum(range(120, 180)))), (180.0, 20, sum(range(180, 200)))]
    assert _find(windows, "reward", 1) == [(198.0, 1, 198.0), (199.0, 1, 199.0)]


def test_late_rows_count_in_the_minute_they_are_of_while_it_runs() -> None:
    """A row older than the running second is counted as late; older than the running minute it is in no window."""
    windows = Windows()
    _add(windows, [58.0, 61.0, 65.0])
    late_episode = EndedEpisode(START + 62 * S, 5.0, 3)
    assert _add(windows, [62.0, 59.0, 65.5], ended=(late_episode,)) == 2
    assert _find(windows, "reward", 60) == [(0.0, 1, 58.0), (60.0, 4, 61.0 + 65 + 62 + 65)]
    assert _find(windows, "return", 60) == [(60.0, 1, 5.0)]
    assert _find(windows, "return", 1) == []
    assert _add(windows, [64.9]) == 1


def test_episodes_count_when_they_end() -> None:
    """Return and length of an episode are in the windows of its end, without one there is no such window."""
    windows = Windows()
    _add(windows, [0.0, 1.5], ended=(EndedEpisode(START + S // 2, 10.0, 4), EndedEpisode(START + S, -2.0, 2)))
    assert _find(windows, "return", 1) == [(0.0, 1, 10.0), (1.0, 1, -2.0)]
    assert _find(windows, "length", 60) == [(0.0, 2, 6.0)]


def test_the_rate_is_that_of_the_last_full_second() -> None:
    """Steps a second: so far in the first second, then of the full one; a pause counts as time without steps."""
    windows = Windows()
    assert windows.steps_per_second() == 0.0
    _add(windows, [0.0, 0.1])
    assert windows.steps_per_second() == 2.0
    _add(windows, [0.2, 1.0])
    assert windows.steps_per_second() == 3.0
    _add(windows, [5.0])
    assert windows.steps_per_second() == 0.25


def test_a_clock_that_was_set_back_starts_the_windows_anew() -> None:
    """Windows of the future give way once a minute of stream time has passed."""
    windows = Windows()
    _add(windows, [3600.0], watermark_ms=1000)
    assert _add(windows, [10.0], watermark_ms=1000 + CLOCK_RESET_MS) == 1
    assert _add(windows, [11.0], watermark_ms=1001 + CLOCK_RESET_MS) == 0
    assert _find(windows, "reward", 1) == [(11.0, 1, 11.0)]


def test_exact_fields_and_quantiles_of_many_values() -> None:
    """Count, sums, minimum and maximum are exact; quantiles are within the stated rank error."""
    values = np.random.default_rng(1).normal(size=20_000)
    measure = Measure()
    for part in np.array_split(values, 100):
        measure.add(Values.of(part.copy()))
    window = measure.window("reward", 1, 0)
    assert (window.count, window.min, window.max) == (20_000, values.min(), values.max())
    assert math.isclose(window.sum, values.sum())
    assert math.isclose(window.sum_squares, (values**2).sum())
    sketch = kll_doubles_sketch.deserialize(window.quantiles)
    assert kll_doubles_sketch.get_normalized_rank_error(SKETCH_K, False) < 0.041
    for rank in (0.05, 0.5, 0.95):
        assert abs((values <= sketch.get_quantile(rank)).mean() - rank) < 0.08  # twice what 99 of 100 sketches keep
    assert len(window.quantiles) < 2048


def test_infinite_and_undefined_values() -> None:
    """NaN is counted and makes the sums NaN, but minimum, maximum and quantiles leave it out; infinity is a value."""
    measure = Measure()
    with np.errstate(all="ignore"):
        measure.add(Values.of(np.array([1.0, math.nan, math.inf, -math.inf, 1e308])))
    window = measure.window("reward", 1, 0)
    assert (window.count, window.min, window.max) == (5, -math.inf, math.inf)
    assert math.isnan(window.sum)
    only = Measure()
    only.add_one(math.nan)
    assert math.isnan(only.window("reward", 1, 0).min)


def test_the_sketches_of_one_event_have_a_bound() -> None:
    """However many values there are, sketches stay within SKETCH_BYTES; the newest second gives way first."""
    windows = Windows()
    rng = np.random.default_rng(2)
    for second in range(62):
        ts = np.full(5000, START + second * S, np.int64)
        ended = [EndedEpisode(int(ts[0]), float(v), i) for i, v in enumerate(rng.normal(size=200))]
        windows.add(NewRows(ts, int(ts[0]), int(ts[0]), None, Values.of(rng.normal(size=5000))), ended, 0)
    found: tuple[Window, ...] = windows.now()
    assert len(found) == 12
    assert sum(len(w.quantiles) for w in found) <= SKETCH_BYTES
    assert all(w.quantiles for w in found[:3])
    assert not found[9].quantiles
    assert (found[9].name, found[9].seconds, found[9].count) == ("reward", 1, 5000)
