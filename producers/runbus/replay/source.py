"""Hands out the steps or episodes of a recorded run for training, from Kafka or ClickHouse, and goes on exactly.

State: `state_dict()` says what was handed out, as JSON; keep it in the checkpoint of the model. `load_state_dict`, in
any process, makes the next item the one that would have come.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, get_args, overload

from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import ConfigError, InvalidValue
from runbus.config.sources import read_sources
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import check_id
from runbus.replay.episodes import Assembler, Ended, Episode
from runbus.replay.errors import RunChanged
from runbus.replay.order import Shuffle
from runbus.replay.rows import Layouts, StepRows, common, joined
from runbus.replay.store import RunStore
from runbus.schemas.registry import codec

StoreName = Literal["kafka", "clickhouse"]
Unit = Literal["steps", "episodes"]
Item = TypeVar("Item", StepRows, Episode)
_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a Source was asked for: a state is for the same only."""

    run: str
    agent: str | None
    store: StoreName
    unit: Unit
    batch: int
    shuffle: int
    seed: int
    incomplete: bool


@dataclass(frozen=True, slots=True)
class _Position:
    """What was handed out of an epoch.

    Attributes:
        epoch: its number, from 0.
        pool: of steps, the pool of the next one; of episodes, the number of the window.
        done: how many of that pool or window were handed out.
        block, order: of episodes, where the window begins: behind the episode of this order in this block.
        from_block: the first block that is needed to put the episodes behind it together.
    """

    epoch: int = 0
    pool: int = 0
    done: int = 0
    block: int = 0
    order: int = -1
    from_block: int = 0


class Source(Generic[Item]):
    """The steps, or the whole episodes, of one recorded run.

    Iterating goes through one epoch: all that was stored when the Source was opened, each step once, whatever was sent
    twice. Iterating again is the next epoch, in another order if it is shuffled. It connects at its first use; a
    process that was forked, or one that a Source was pickled to, connects anew and goes on at the same item.

        source = Source("cartpole-1", unit="episodes", shuffle=1000)
        for episode in source:
            train(episode.observations, episode.actions, episode.rewards)
            checkpoint(model.state_dict(), source.state_dict())

    Args:
        run: name of the run.
        agent: only this one.
        store: `kafka`, which has what retention leaves, or `clickhouse`.
        unit: `steps`: StepRows of `batch` steps; `episodes`: an Episode each.
        batch: steps of an item; fewer at the end, and where the values have another layout from here on.
        shuffle: mixes that many steps or episodes at a time; 0 = in order: each stream from its first step to its
            last. Steps come from blocks all over the run, episodes are mixed with those near them.
        seed: of the order.
        incomplete: hand out also episodes that have no reset or no end, or whose steps are not all there.
        settings: of Kafka; default: environment and configuration file.
        clickhouse: of ClickHouse, likewise.

    Raises:
        ConfigError: one of these is unusable.
    """

    @overload
    def __init__(
        self: Source[StepRows],
        run: str,
        *,
        agent: str | None = None,
        store: StoreName = "kafka",
        unit: Literal["steps"] = "steps",
        batch: int = 256,
        shuffle: int = 0,
        seed: int = 0,
        settings: KafkaSettings | None = None,
        clickhouse: ClickHouseSettings | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Source[Episode],
        run: str,
        *,
        agent: str | None = None,
        store: StoreName = "kafka",
        unit: Literal["episodes"],
        shuffle: int = 0,
        seed: int = 0,
        incomplete: bool = False,
        settings: KafkaSettings | None = None,
        clickhouse: ClickHouseSettings | None = None,
    ) -> None: ...
    def __init__(  # noqa: PLR0913 - the public constructor: everything by name, everything optional
        self,
        run: str,
        *,
        agent: str | None = None,
        store: StoreName = "kafka",
        unit: Unit = "steps",
        batch: int = 256,
        shuffle: int = 0,
        seed: int = 0,
        incomplete: bool = False,
        settings: KafkaSettings | None = None,
        clickhouse: ClickHouseSettings | None = None,
    ) -> None:
        self._asked = _Asked(run, agent, store, unit, batch, shuffle, seed, incomplete)
        _check(self._asked)
        sources = read_sources()
        self._kafka = settings or KafkaSettings.load(sources)
        self._clickhouse = clickhouse or ClickHouseSettings.load(sources)
        self._bounds: Any = None
        self._steps: int | None = None
        self._opened: RunStore | None = None
        self._pid = 0  # of the process that opened it
        self._at = _Position()

    # --- items --------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Item]:
        """Go through the rest of the epoch.

        Raises:
            NoSuchRun: the store has no step of it.
            RunChanged: what is stored is not what it was.
            RunBusError: the store cannot be read.
        """
        items: Iterator[Any] = self._batches() if self._asked.unit == "steps" else self._episodes()
        return items

    @property
    def steps(self) -> int:
        """How many steps an epoch has. Raises as iterating does."""
        return sum(block.steps for block in self._store().blocks)

    # --- state --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return what was handed out so far, as JSON. Raises as iterating does."""
        store = self._store()
        return {
            "version": _VERSION,
            "source": asdict(self._asked),
            "bounds": store.bounds,
            "steps": self.steps,
            "position": asdict(self._at),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, over what was stored then.

        Raises:
            ConfigError: it is the state of another Source, or of another version.
        """
        if state.get("version") != _VERSION:
            raise ConfigError("this is no state of a Source of this version")
        mine = asdict(self._asked)
        other = {name: state["source"].get(name) for name, value in mine.items() if state["source"].get(name) != value}
        if other:
            said = ", ".join(f"{name}={value!r}" for name, value in other.items())
            raise ConfigError(f"the state is that of a Source with {said}: make it with the same arguments")
        self.close()
        self._bounds, self._steps = state["bounds"], state["steps"]
        self._at = _Position(**state["position"])

    # --- begin and end ------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the connections; the next use opens them again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process gets: everything but the connections."""
        return {**self.__dict__, "_opened": None}

    def _store(self) -> RunStore:
        if self._opened is not None and self._pid != os.getpid():
            from runbus.kafka.clients import never_destroy

            never_destroy(self._opened)  # it is the parent's, and its threads are not here
            self._opened = None
        if self._opened is None:
            self._opened, self._pid = self._open(), os.getpid()
            found = self.steps
            if self._steps not in (None, found):
                self.close()
                raise RunChanged(
                    f"run {self._asked.run} had {self._steps} steps when the state was taken, and {found} of them are "
                    "there now (retention, or steps that were sent late): begin without the state"
                )
            self._bounds, self._steps = self._opened.bounds, found
        return self._opened

    def _open(self) -> RunStore:
        asked = self._asked
        if asked.store == "clickhouse":
            from runbus.replay.table_store import TableStore  # its client is not needed for Kafka

            return TableStore(self._clickhouse, asked.run, asked.agent, self._bounds)
        from runbus.replay.log_store import LogStore

        return LogStore(self._kafka, codec(read_sources()), asked.run, asked.agent, self._bounds)

    def _shuffle(self) -> Shuffle:
        return Shuffle(self._asked.shuffle, self._asked.seed, self._at.epoch)

    def _next_epoch(self) -> None:
        self._at = _Position(self._at.epoch + 1)

    # --- steps --------------------------------------------------------------------------------------------------

    def _batches(self) -> Iterator[StepRows]:
        """Yield batches; `_at` is where the next one begins when one is handed out."""
        epoch, size = self._at.epoch, self._asked.batch
        left: StepRows | None = None
        pool = 0
        for pool, done, rows in self._pooled():
            start = 0
            if left is not None and common(left.layouts, rows.layouts) is None:
                self._at = _Position(epoch, pool, done)
                yield left
                left = None
            if left is not None:
                start = min(size - len(left), len(rows))
                left = joined([left, rows.take(slice(0, start))])
                if len(left) == size:
                    self._at = _Position(epoch, pool, done + start)
                    yield left
                    left = None
            while left is None and len(rows) - start >= size:
                self._at = _Position(epoch, pool, done + start + size)
                yield rows.take(slice(start, start + size))
                start += size
            if start < len(rows):
                left = rows.take(slice(start, None))
        if left is not None:
            self._at = _Position(epoch, pool + 1)
            yield left
        self._next_epoch()

    def _pooled(self) -> Iterator[tuple[int, int, StepRows]]:
        """Yield the rest of the epoch's rows, in their order: their pool, how many of it come before, and they."""
        store, shuffle, at = self._store(), self._shuffle(), self._at
        pools = shuffle.pools(shuffle.blocks(store.blocks), store.blocks)
        for pool in range(at.pool, len(pools)):
            parts = [part for index in pools[pool] for part in store.read(store.blocks[index])]
            done, skipped = 0, at.done if pool == at.pool else 0
            for number, rows in enumerate(_by_layout(parts, mixed=bool(shuffle.window))):
                order = shuffle.rows(len(rows), pool, number) if shuffle.window else None
                new = max(0, skipped - done)
                if new < len(rows):
                    yield pool, done + new, rows.take(slice(new, None) if order is None else order[new:])
                done += len(rows)

    # --- episodes -----------------------------------------------------------------------------------------------

    def _episodes(self) -> Iterator[Episode]:
        shuffle, begin = self._shuffle(), self._at
        found = self._ended()
        number, done = begin.pool, begin.done
        while window := list(islice(found, max(1, shuffle.window))):
            order = shuffle.rows(len(window), number)
            behind = window[-1][1]
            for place in range(done, len(window)):
                if place + 1 < len(window):
                    self._at = _Position(begin.epoch, number, place + 1, begin.block, begin.order, begin.from_block)
                else:
                    self._at = _Position(begin.epoch, number + 1, 0, behind.block, behind.order, behind.from_block)
                yield window[order[place]][0]
            begin, number, done = behind, number + 1, 0
        self._next_epoch()

    def _ended(self) -> Iterator[tuple[Episode, _Position]]:
        """Yield the rest of the epoch's episodes as they end, each with the position behind it."""
        store, at = self._store(), self._at
        order = self._shuffle().lanes(store.blocks)
        assembler: Assembler = Assembler()
        for place in range(at.from_block, len(order)):
            ended = self._block(store, assembler, order, place)
            if place < at.block:
                continue
            kept = [one for one in ended if place > at.block or one.order > at.order]
            for number, one in enumerate(kept):
                if one.episode.complete or self._asked.incomplete:
                    began: list[int] = [later.began for later in kept[number + 1 :]]
                    first = min([place, *began, *assembler.began])
                    yield one.episode, _Position(at.epoch, block=place, order=one.order, from_block=first)

    @staticmethod
    def _block(store: RunStore, assembler: Assembler, order: list[int], place: int) -> list[Ended]:
        """Return the episodes that end in a block, or with its lane."""
        block = store.blocks[order[place]]
        ended = assembler.take(place, store.read(block))
        last = place + 1 == len(order) or store.blocks[order[place + 1]].lane != block.lane
        return ended + assembler.rest() if last else ended


def _check(asked: _Asked) -> None:
    """Raise ConfigError unless this can be read."""
    try:
        check_id("run", asked.run)
        if asked.agent is not None:
            check_id("agent", asked.agent)
    except InvalidValue as error:
        raise ConfigError(str(error)) from error
    for name, value, words in (("store", asked.store, StoreName), ("unit", asked.unit, Unit)):
        if value not in get_args(words):
            raise ConfigError(f"{name}={value!r} is not one of {', '.join(get_args(words))}")
    if asked.batch < 1 or asked.shuffle < 0 or asked.seed < 0:
        raise ConfigError(f"batch={asked.batch} must be at least 1, shuffle={asked.shuffle} and seed={asked.seed} 0")


def _by_layout(parts: list[StepRows], *, mixed: bool) -> list[StepRows]:
    """Return parts whose layouts fit as one: all of them if they are mixed, else those that follow each other."""
    groups: list[list[StepRows]] = []
    layouts: list[Layouts] = []
    for part in parts:
        for place in range(0 if mixed else max(0, len(groups) - 1), len(groups)):
            both = common(layouts[place], part.layouts)
            if both is not None:
                layouts[place] = both
                groups[place].append(part)
                break
        else:
            groups.append([part])
            layouts.append(part.layouts)
    return [joined(group) for group in groups]
