"""Records what an agent's loop does, and never disturbs the loop."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, SupportsFloat, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runbus.config.errors import ConfigError, InvalidValue
from runbus.config.sources import read_sources
from runbus.kafka.model import StreamId
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import check_id
from runbus.recorder.annotations import StepWords, annotation_of_reset, annotation_of_step
from runbus.recorder.bus import RunBus
from runbus.recorder.complaints import Complaints
from runbus.recorder.courier import Courier
from runbus.recorder.events import StepsRecorded, StreamFinished, StreamStarted
from runbus.recorder.identity import host, now_us, version
from runbus.recorder.origin import origin_of
from runbus.recorder.process import PROCESS, outcome_of
from runbus.recorder.settings import CourierSettings
from runbus.recorder.stream import RecordedStream
from runbus.recorder.text import json_text
from runbus.recorder.values import Observations, chooser, plain_number
from runbus.recorder.vector import VectorRows, VectorStep, row_count
from runbus.schemas.events import Outcome, RunEvent

log = logging.getLogger(__name__)


class Recorder:
    """Records the steps of one agent of one run.

    Recording never raises into the training loop and never waits for the broker (except with policy `block`). What
    cannot be recorded is counted (`stats`) and logged once. Values are copied; nothing of the environment is touched.
    The stream begins at the first call of reset, step or log, or at `with`. In a forked, spawned or unpickled copy a
    recorder is a new attempt of the same run and agent.

    Args:
        run: name of the run.
        agent: name of the agent in the run.
        config: hyper-parameters and the like; kept as JSON.
        observation_space, action_space: JSON text, for readers of the run.
        bus: where to publish; default: the one that this process shares.
        settings: the Kafka to deliver to; default: environment and configuration file.
        observations: `auto` leaves out images and what is over 1 KiB a step (their absence is visible in the data),
            `all` records everything, `none` nothing.
        kafka: False = only the bus's own subscribers see the steps.
        labels: of the run, by name; values become text.
        tags: of the run.
        parent: the recorder whose agent began this one (a sub-agent, a hand-off), or its `stream_id`.
        parent_seq: seq of the step of `parent` that did.

    Raises:
        ConfigError: a name is empty or has a '/' in it, `config` cannot become JSON, or a setting is unusable.
    """

    def __init__(  # noqa: PLR0913 - the public constructor: everything by name, everything optional
        self,
        run: str,
        agent: str = "agent-0",
        *,
        config: Mapping[str, Any] | None = None,
        observation_space: str | None = None,
        action_space: str | None = None,
        bus: RunBus | None = None,
        settings: KafkaSettings | None = None,
        observations: Observations = "auto",
        kafka: bool = True,
        labels: Mapping[str, object] | None = None,
        tags: Iterable[str] | str | None = None,
        parent: Recorder | str | None = None,
        parent_seq: int | None = None,
    ) -> None:
        for name, value in (("run", run), ("agent", agent)):
            try:
                check_id(name, value)
            except InvalidValue as error:
                raise ConfigError(str(error)) from error
        chooser(observations)  # raises for a word that it does not know
        self.run = run
        self.agent = agent
        self._config = _config_text(config)
        begun_by = parent.stream_id if isinstance(parent, Recorder) else parent or ""
        self._origin = origin_of(labels, tags, begun_by, parent_seq)
        self._spaces = (observation_space or "", action_space or "")
        self._observations = observations
        self._settings = settings
        self._kafka = kafka
        self._given_bus = bus
        self._prepare()

    def _prepare(self) -> None:
        """Set up what belongs to this process; nothing is connected or started."""
        self._courier_settings = CourierSettings.load(read_sources(), self._settings) if self._kafka else None
        self._bus = self._given_bus or (PROCESS.bus(self._courier_settings) if self._courier_settings else RunBus())
        self._lock = threading.RLock()
        self._complaints = Complaints(log)
        self._summary: dict[str, float] = {}
        self._closed = False
        self._ended: RecordedStream | None = None
        self._stream: RecordedStream | None = None
        self._vector: VectorRows | None = None
        self._courier: Courier | None = None
        self._attempt = PROCESS.attempt()

    # --- called by the loop -----------------------------------------------------------------------------------

    def reset(
        self,
        observation: Any = None,  # noqa: ANN401 - any observation
        *,
        seed: int | None = None,
        info: Mapping[str, Any] | None = None,
        env: int = 0,
        tick: int | None = None,
        labels: Mapping[str, object] | None = None,
    ) -> int | None:
        """Record the reset that begins an episode of `env`.

        Args:
            observation: the first one; see `step`.
            seed: an integer of any size.
            info, env, tick: see `step`.
            labels: of the episode: its task, group, split, policy version and the like. Values become text.

        Returns:
            Its seq, to name it as a parent; None if it is not recorded.
        """
        try:
            stream = self._stream or self._begin()
            if stream is not None:
                note = None if labels is None else annotation_of_reset(labels, self._leave_out)
                return stream.reset(observation, seed, info, env, tick, note)
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._refuse(error, lambda stream: stream.refuse(env, reset=True))
        return None

    def step(
        self,
        action: Any,  # noqa: ANN401 - any action
        reward: Any,  # noqa: ANN401 - whatever the environment calls a number
        terminated: bool | np.bool_,
        truncated: bool | np.bool_,
        observation: Any = None,  # noqa: ANN401 - any observation
        *,
        info: Mapping[str, Any] | None = None,
        env: int = 0,
        tick: int | None = None,
        **words: Unpack[StepWords],  # one empty dict costs less than four defaults: this is the loop's time
    ) -> int | None:
        """Record one step: the action taken and what the environment answered.

        Args:
            action, observation: array, number, text, dict or tuple of them, JSON data, or None. ABSENT if there is none
                in this step although others have one.
            reward: a number; stored as float64.
            info: JSON-like; stored with the step. Arrays become lists.
            env: index in a vector environment.
            tick: step of a multi-agent environment.
            words: by name: kind (who acted: env, model, tool, agent, judge or human), status (how it went: ok, error,
                timeout, cancelled or length), parent (seq of the step or reset of this recorder that caused it), stop
                (why the episode stopped, in words of your own, with its last step).

        Returns:
            Its seq, to name it as a parent; None if it is not recorded.
        """
        try:
            stream = self._stream or self._begin()
            if stream is not None:
                note = annotation_of_step(words, self._leave_out) if words else None
                return stream.step(action, reward, terminated, truncated, observation, info, env, tick, note)
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._refuse(error, lambda stream: stream.refuse(env, reset=False))
        return None

    def step_vector(
        self,
        actions: Any,  # noqa: ANN401 - arrays, or dicts and tuples of arrays
        rewards: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
        observations: Any = None,  # noqa: ANN401
        *,
        resets: ArrayLike | None = None,
        tick: int | None = None,
    ) -> None:
        """Record one step of n environments, env 0 to n-1: arrays whose first axis is the environment.

        Args:
            actions: (n, ...).
            rewards, terminated, truncated: (n,).
            observations: (n, ...).
            resets: (n,) of bool: rows where the environment began a new episode instead of stepping (Gymnasium's
                next-step autoreset). Their action and reward are not recorded.
            tick: step of a multi-agent environment.
        """
        try:
            stream = self._stream or self._begin()
            if stream is not None and self._vector is not None:
                self._vector.step(VectorStep(actions, rewards, terminated, truncated, observations, resets, tick))
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._refuse(error, lambda stream: stream.refuse_many(_envs(rewards), reset=False))

    def reset_vector(
        self,
        observations: Any,  # noqa: ANN401 - arrays, or dicts and tuples of arrays
        *,
        seeds: Sequence[int | None] | None = None,
        mask: ArrayLike | None = None,
        tick: int | None = None,
    ) -> None:
        """Record the reset of n environments: observations (n, ...), seeds by env, mask (n,) of those that were."""
        try:
            stream = self._stream or self._begin()
            if stream is not None and self._vector is not None:
                self._vector.reset(observations, seeds, mask, tick)
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._refuse(error, lambda stream: stream.refuse_many(_envs(observations), reset=True))

    def log(self, values: Mapping[str, SupportsFloat]) -> None:
        """Record named numbers, each of them, also of the same name.

        They belong to the next row of this recorder, a step or a reset; those behind the last one to the end of the
        stream. The run's summary keeps the last of each name. What is no number is left out by itself.
        """
        try:
            stream = self._stream or self._begin()
            if stream is not None:
                self._summary.update(stream.log(values))
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._complaints.say("log", "log(...) of %s was ignored: %s; pass names and numbers", self.run, error)

    # --- the stream -------------------------------------------------------------------------------------------

    def close(self, outcome: Outcome = "completed", error: str = "") -> None:
        """End the stream. Does not wait; `flush` does, and the end of the process does too."""
        try:
            self.end(outcome, error)
        except Exception:
            log.exception("closing the recorder of %s/%s failed", self.run, self.agent)

    def end(self, outcome: Outcome, error: str) -> None:
        """Publish what is open, then the end. Nothing if the stream is closed or never began."""
        with self._lock:
            stream, begun = self._stream, not self._closed
            self._closed = True
            if stream is None or not begun:
                return
            with stream.lock:
                stream.close()
                produced = stream.counts.produced
            self._stream, self._ended = None, stream
            self._bus.publish(self._finished(stream, outcome, error, produced), events=0)
        PROCESS.leave(self)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was recorded is delivered or dropped; return whether it was within `timeout` seconds."""
        self.close_batch()
        return self._courier is None or self._courier.flush(timeout)

    def stats(self) -> dict[str, int | str | dict[str, int]]:
        """Return this stream's counts, produced = delivered + dropped + in_flight, and its complaints."""
        stream = self._stream or self._ended
        counts = {"produced": 0, "delivered": 0, "dropped": 0, "in_flight": 0, "episodes": 0}
        if stream is not None:
            produced = stream.produced
            delivered, dropped = stream.counts.ended
            in_flight = produced - delivered - dropped
            counts = {"produced": produced, "delivered": delivered, "dropped": dropped, "in_flight": in_flight}
            counts["episodes"] = stream.positions.episodes
        found: dict[str, int | str | dict[str, int]] = {"run": self.run, "agent": self.agent, "attempt": self._attempt}
        return {**found, **counts, "complaints": self._complaints.counts()}

    @property
    def attempt(self) -> int:
        """This recorder's start in microseconds since the epoch: with run and agent it names the stream."""
        return self._attempt

    @property
    def stream_id(self) -> str:
        """This recorder's stream as text, `run/agent/attempt`: what another process gives as `parent`."""
        return str(self._id())

    @property
    def bus(self) -> RunBus:
        """The bus that the steps are published on."""
        return self._bus

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.close(*outcome_of(error))

    def _begin(self) -> RecordedStream | None:
        """Begin the stream, once; None after `close`."""
        with self._lock:
            if self._closed:
                self._complaints.say(
                    "closed", "recorder %s/%s is closed: steps after close() are ignored", self.run, self.agent
                )
                return None
            if self._stream is None:
                stream = RecordedStream(self._id(), self._observations, self._publish, self._leave_out)
                self._vector = VectorRows(stream, self._complain)
                if self._courier_settings is not None:
                    self._courier = PROCESS.courier(self._bus, self._courier_settings)
                    self._courier.follow(stream.counts)
                self._bus.publish(StreamStarted(stream.counts, self._run_event()), events=0)
                PROCESS.join(self)
                self._stream = stream
            return self._stream

    def _publish(self, steps: StepsRecorded) -> None:
        self._bus.publish(steps, events=steps.count, nbytes=steps.nbytes)

    def _leave_out(self, part: str, why: str) -> None:
        """Say once for each part of a row that it is left out; the row is recorded."""
        self._complaints.say(
            f"left out {part}", "%s of %s/%s is left out, or a part of it: %s", part, self.run, self.agent, why
        )

    def _refuse(self, error: Exception, count: Callable[[RecordedStream], None]) -> None:
        """Count what could not be recorded, and say so once."""
        self._complain(error)
        try:
            if self._stream is not None:
                count(self._stream)
        except Exception:
            log.exception("counting a refused step failed")

    def _complain(self, error: Exception) -> None:
        self._complaints.say(
            f"refused {type(error).__name__}",
            "a step of %s/%s cannot be recorded: %s. It counts as dropped; pass numbers, arrays, text, or dicts and "
            "tuples of them",
            self.run,
            self.agent,
            error,
        )

    def _id(self) -> StreamId:
        return StreamId(self.run, self.agent, self._attempt)

    def _run_event(self) -> RunEvent:
        return RunEvent(
            run_id=self.run,
            agent_id=self.agent,
            attempt=self._attempt,
            kind="STARTED",
            sent_at=now_us(),
            started_at=self._attempt,
            config=self._config,
            observation_space=self._spaces[0],
            action_space=self._spaces[1],
            host=host(),
            pid=os.getpid(),
            version=version(),
            labels=self._origin.labels,
            tags=list(self._origin.tags),
            parent=self._origin.parent,
            parent_seq=self._origin.parent_seq,
        )

    def _finished(self, stream: RecordedStream, outcome: Outcome, error: str, produced: int) -> StreamFinished:
        return StreamFinished(
            counts=stream.counts,
            event=self._run_event(),
            outcome=outcome,
            error=error.encode("utf-8", "replace").decode(),
            episodes=stream.positions.episodes,
            summary=json_text({name: plain_number(value) for name, value in self._summary.items()}),
            produced=produced,
            logged=stream.take_pending(),
        )

    # --- called by the process ---------------------------------------------------------------------------------

    def tick(self) -> None:
        """Close the open batch if it is due (called by the process's ticker)."""
        stream = self._stream
        if stream is not None:
            stream.close_if_old()

    def close_batch(self) -> None:
        """Publish what is recorded so far."""
        if self._stream is not None:
            self._stream.close()

    def after_fork(self) -> None:
        """Be a new attempt in a forked child (called there)."""
        closed = self._closed
        self._prepare()
        self._closed = closed

    def __getstate__(self) -> dict[str, Any]:
        names = ("run", "agent", "_config", "_spaces", "_observations", "_settings", "_kafka", "_origin")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._given_bus = None
        self._prepare()


def _config_text(config: object) -> str:
    try:
        return json_text({} if config is None else config)
    except Exception as error:  # the user's objects make their own text: any error is possible
        raise ConfigError(f"config= cannot be recorded: {error}. Give plain values: numbers, text, dicts") from error


def _envs(values: object) -> NDArray[np.int64]:
    try:
        return np.arange(row_count(values))
    except Exception:  # noqa: BLE001 - without a length it was one call
        return np.arange(1)
