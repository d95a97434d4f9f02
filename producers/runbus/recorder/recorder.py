"""Records what an agent's loop does, and never disturbs the loop."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from os import PathLike
from time import monotonic
from types import TracebackType
from typing import Any, ClassVar, Self, SupportsFloat, SupportsIndex, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runbus.config.catalogue import JournalMode
from runbus.config.deadline import Deadline
from runbus.config.errors import ConfigError, InvalidValue
from runbus.config.sources import read_sources
from runbus.kafka.model import StreamId
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import check_id
from runbus.recorder.artifact import ABOUT, Artifact, ArtifactWords, name_of_path
from runbus.recorder.bus import RunBus
from runbus.recorder.commands import Answers, Command, Inbox, as_command
from runbus.recorder.config_text import config_text
from runbus.recorder.env_indices import EnvIndices, EnvReservation
from runbus.recorder.env_positions import NO_EPISODE
from runbus.recorder.identity import host, now_us, version
from runbus.recorder.journal.settings import JournalSettings
from runbus.recorder.metric_stream import MetricStream
from runbus.recorder.metric_values import nanoseconds_of, position_of
from runbus.recorder.open_batch import StreamEnded
from runbus.recorder.origin import Origin, origin_of
from runbus.recorder.outcome import outcome_of
from runbus.recorder.process import PROCESS
from runbus.recorder.recording import Recording
from runbus.recorder.row_words import StepWords
from runbus.recorder.score import ScoreWords, about_of
from runbus.recorder.settings import CourierSettings
from runbus.recorder.stream import RecordedStream
from runbus.recorder.stream_complaints import StreamComplaints
from runbus.recorder.values import Observations, chooser
from runbus.recorder.vector import VectorRows, row_count
from runbus.recorder.vector_calls import EnvNumbers, Infos, ResetLabels, VectorReset, VectorStep
from runbus.schemas.events import Outcome, RunEvent

log = logging.getLogger(__name__)


class Recorder:
    """Records the steps of one agent of one run.

    Recording never raises into the training loop and never waits for the broker (except with policy `block`). What
    cannot be recorded is counted (`stats`) and logged once. Values are copied; nothing of the environment is touched.
    The stream begins at the first call of reset, step or log, or at `with`; it ends at `close`, at the end of the
    process, or, as interrupted, once nothing refers to the recorder any more. In each process that records, and in each
    copy, it is a new attempt of the same run and agent.

    Args:
        run: name of the run.
        agent: name of the agent in the run.
        config: hyper-parameters and the like, kept as JSON: a mapping, or an object with fields (a dataclass, a
            namespace, a model of pydantic, ...). Of more than 448 KiB the largest parts are left out, with a mark.
        observation_space, action_space: what one environment's values look like, as JSON text: see
            `runbus.gymnasium.space_json`. Values are read as it says (a list becomes an array of its dtype and shape, a
            tuple is a Tuple or one value an environment), and readers of the run find it there.
        bus: where to publish; default: the one that this process shares. A copy by `copy` and a forked child keep it;
            one that is pickled into another process publishes on that process's own.
        settings: the Kafka to deliver to; default: environment and configuration file.
        observations: `auto` leaves out images and what is over 1 KiB a step (their absence is visible in the data),
            `all` records everything, `none` nothing.
        kafka: False = only the bus's own subscribers see the steps.
        labels: of the run, by name; values become text.
        tags: of the run.
        parent: the recorder whose agent began this one (a sub-agent, a hand-off), or its `stream_id`.
        parent_seq: seq of the step of `parent` that did.
        control: take the commands of `runbus control`: see `commands`.
        journal: folder that keeps what Kafka does not have yet; what was kept there when the process was killed is
            delivered later. Default: RUNBUS_RECORDER_JOURNAL. See docs/journal.md.
        journal_mode: `batch` (SIGKILL loses the open batch) or `step` (nothing).

    Raises:
        ConfigError: a name is empty or has a "/" in it, a setting is unusable, or `control` or `journal` without Kafka.
    """

    #: what its run events say that it is: see RunEvent.role
    _ROLE: ClassVar[str] = ""

    def __init__(  # noqa: PLR0913 - the public constructor: everything by name, everything optional
        self,
        run: str,
        agent: str = "agent-0",
        *,
        config: object = None,
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
        control: bool = False,
        journal: str | os.PathLike[str] | None = None,
        journal_mode: JournalMode | None = None,
    ) -> None:
        if control and not kafka:
            raise ConfigError("commands come from Kafka: leave out kafka=False, or control=True")
        if (journal or journal_mode) and not kafka:
            raise ConfigError("a journal keeps what goes to Kafka: leave out kafka=False, or the journal")
        for name, value in (("run", run), ("agent", agent)):
            try:
                check_id(name, value)
            except InvalidValue as error:
                raise ConfigError(str(error)) from error
        chooser(observations)  # raises for a word that it does not know
        begun_by = parent.stream_id if isinstance(parent, Recorder) else parent or ""
        self._env_indices = EnvIndices()
        self._set_up(
            _Given(
                run=run,
                agent=agent,
                config=config_text(config),
                observation_space=observation_space or "",
                action_space=action_space or "",
                observations=observations,
                settings=settings,
                kafka=kafka,
                control=control,
                origin=origin_of(labels, tags, begun_by, parent_seq),
                journal=JournalSettings.load(read_sources(), journal, journal_mode) if kafka else JournalSettings(),
                role=self._ROLE,
            ),
            bus,
        )

    def _set_up(self, given: _Given, bus: RunBus | None) -> None:
        """Get ready to record; nothing is connected or started."""
        self.run = given.run
        self.agent = given.agent
        self._given = given
        self._own_bus = bus is not None
        self._courier_settings = CourierSettings.load(read_sources(), given.settings) if given.kafka else None
        self._bus = bus or (PROCESS.bus(self._courier_settings) if self._courier_settings else RunBus())
        self._complaints = StreamComplaints(log, given.run, given.agent)
        self._closed = False
        self._after_close = 0
        self._reserved = (0, 0)
        self._recording: Recording | None = None
        self._stream: RecordedStream | None = None  # the recording's while it takes rows: what the loop needs
        self._vector: VectorRows | None = None
        self._metrics: MetricStream | None = None
        self._answers = Answers()
        self._inbox: Inbox | None = None  # from the first use on
        PROCESS.expect()

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
            return (self._stream or self._begin()).reset(observation, seed, info, env, tick, labels)
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
            return stream.step(action, reward, terminated, truncated, observation, info, env, tick, words)
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._refuse(error, lambda stream: stream.refuse(env, reset=False, flags=(terminated, truncated)))
        return None

    def step_vector(  # noqa: PLR0913 - everything that a call of a vector environment says, by name
        self,
        actions: Any,  # noqa: ANN401 - arrays, or dicts and tuples of arrays
        rewards: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
        observations: Any = None,  # noqa: ANN401
        *,
        resets: ArrayLike | None = None,
        tick: int | None = None,
        infos: Infos | None = None,
        envs: EnvNumbers | None = None,
        extras: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        """Record one step of n environments: arrays whose first axis is the environment.

        A row with `resets` and without an end is the reset that an environment made in place of a step (next-step
        autoreset): its action and reward are not recorded. A row with `resets` and an end is the last step of an
        episode, whose observation is the first of the next one (same-step autoreset): it becomes two rows, the step
        with the last observation that `infos` has, or without one, and the reset.

        Args:
            actions: (n, ...).
            rewards, terminated, truncated: (n,).
            observations: (n, ...).
            resets: (n,) of bool: rows whose observation is that of a reset.
            tick: step of a multi-agent environment.
            infos: dict of arrays (n, ...) with masks `_name` (n,), as Gymnasium makes them, or a list of n dicts;
                stored with the rows as JSON, but for `final_obs`, which is the observation that an end had.
            envs: (n,) different env indices, in any order; default: 0 to n-1.
            extras: named arrays (n,) of numbers, stored with the rows.
        """
        try:
            call = VectorStep(actions, rewards, terminated, truncated, observations, resets, tick, infos, envs, extras)
            (self._vector or self._begin_vector()).step(call)
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            rows = _rows(rewards)
            self._refuse(error, lambda stream: stream.refuse_many(rows), len(rows))

    def reset_vector(
        self,
        observations: Any,  # noqa: ANN401 - arrays, or dicts and tuples of arrays
        *,
        seeds: Sequence[int | None] | None = None,
        mask: ArrayLike | None = None,
        tick: int | None = None,
        infos: Infos | None = None,
        envs: EnvNumbers | None = None,
        labels: ResetLabels | None = None,
    ) -> None:
        """Record the reset of n environments.

        Args:
            observations: (n, ...).
            seeds: n seeds, or None where there was none.
            mask: (n,) of bool: the rows that were reset; default: all.
            tick, infos, envs: see `step_vector`.
            labels: of every episode that begins here, or n mappings; see `reset`.
        """
        try:
            call = VectorReset(observations, seeds, mask, tick, infos, envs, labels)
            (self._vector or self._begin_vector()).reset(call)
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            rows = _rows(observations, mask)
            self._refuse(error, lambda stream: stream.refuse_many(rows, rows >= 0), len(rows))

    def log(self, values: Mapping[str, SupportsFloat]) -> None:
        """Record named numbers, each of them, also of the same name.

        They belong to the next row of this recorder, a step or a reset; those behind the last one to the end of the
        stream. The run's summary keeps the last of each name. What is no number is left out by itself.
        """
        try:
            stream = self._stream or self._begin()
            numbers = stream.log(values)
            if self._recording is not None:
                self._recording.summary.update(numbers)
        except StreamEnded:
            self._complaints.closed()
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._complaints.log_ignored(error)

    # --- metrics and scores -----------------------------------------------------------------------------------------

    def metrics(
        self,
        values: Mapping[str, object],
        *,
        step: SupportsIndex | None = None,
        axis: str = "global_step",
        time: float | None = None,
    ) -> None:
        """Record named values that belong to no step: losses, evaluations, what a learner measures.

        In any order of positions, and as often as one likes: nothing is dropped for being late or for being there.

        Args:
            values: numbers by name, also tensors of one element; nested dicts get names with "/" between them, a text
                is kept as a text. None, and what is neither, is left out by itself and counted.
            step: where they are on the axis.
            axis: what `step` counts.
            time: when they were measured, seconds since the epoch; default: now.
        """
        try:
            stream = self._metrics or self._begin_metrics()
            stream.log(values, step, axis, time)
        except StreamEnded:
            self._count_after_close(1)
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._ignore_metrics(error)

    def score(
        self,
        value: SupportsFloat | None,
        *,
        name: str = "reward",
        time: float | None = None,
        **words: Unpack[ScoreWords],
    ) -> None:
        """Record a judgement, whenever it comes: a late reward, a model's or a person's score.

        Args:
            value: a number; None if there are only words.
            name: what is judged. A `reward` is added to the episode's return in the view `scored_episodes`.
            time: when, seconds since the epoch; default: now.
            words: by name: agent (whom it is about; default: this recorder's agent), attempt (of that agent; default:
                this recorder's own, or the newest of another agent), env and episode (default: the episode that runs in
                `env`, or in env 0, or the last one), step or seq (which step of it, by its number in the episode or by
                what `step` returned), label and text (the judgement in words, short and long), judge (a
                person, a model; default: this recorder).
        """
        try:
            stream = self._metrics or self._begin_metrics()
            about = about_of(self._placed(words), stream.leave_out)
            stream.score(value, name, about, time)
        except StreamEnded:
            self._count_after_close(1)
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._ignore_metrics(error)

    def artifact(
        self,
        path: str | PathLike[str],
        *,
        type: str,  # noqa: A002 - as everybody calls it
        step: SupportsIndex | None = None,
        axis: str = "global_step",
        time: float | None = None,
        **words: Unpack[ArtifactWords],
    ) -> None:
        """Record a reference to what was written: where it is, its size and its hash, never its bytes.

        A file or folder is hashed beside the loop, and recorded once that is done; `flush` waits for it, and the end
        of the stream for at most 10 s. One that is not there, or changes meanwhile, is recorded without a hash.

        Args:
            path: of a file or a folder, or a URI of what is elsewhere.
            type: checkpoint, video, dataset, model, log, or any other word.
            step, axis: where it belongs, see `metrics`.
            time: when it was written, seconds since the epoch; default: now.
            words: by name: name (default: the last part of the path), agent, attempt, env and episode (what it shows;
                an env or an episode without an agent is of this recorder's), size in bytes and sha256 (of what is
                elsewhere).
        """
        try:
            stream = self._metrics or self._begin_metrics()
            assert self._recording is not None, "it has begun"
            said = {part: word for part, word in words.items() if part in ABOUT and word is not None}
            shown = cast("ScoreWords", said)
            if "env" in shown or "episode" in shown:
                shown = self._placed(shown)
            at = position_of(step, stream.leave_out)
            artifact = Artifact(
                type=str(type),
                name=words.get("name") or name_of_path(path),
                at=at,
                axis="" if step is None else axis,
                ts=nanoseconds_of(time, stream.leave_out),
                about=about_of(shown, stream.leave_out),
                size=words.get("size", -1),
                sha256=words.get("sha256", ""),
            )
            self._recording.artifact(path, artifact)
        except StreamEnded:
            self._count_after_close(1)
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._ignore_metrics(error)

    def _placed(self, words: ScoreWords) -> ScoreWords:
        """Return what a score is about, with what is known of this recorder's own agent."""
        if words.get("agent") not in (None, self.agent) or words.get("attempt") is not None:
            return words
        found: ScoreWords = {**words, "agent": self.agent, "attempt": self.attempt}
        if words.get("episode") is None and words.get("seq") is None:
            env = words.get("env") or 0
            running = self._begin().positions.episode_of(env)
            if running != NO_EPISODE:
                found["env"], found["episode"] = env, running
        return found

    def _begin_metrics(self) -> MetricStream:
        self._begin()
        assert self._recording is not None, "it has begun"
        self._metrics = self._recording.begin_metrics()
        return self._metrics

    def _ignore_metrics(self, error: Exception) -> None:
        try:
            self._complaints.metrics_ignored(error)
            if self._metrics is not None:
                self._metrics.counts.leave_out("metrics")
        except Exception:
            log.exception("counting ignored metrics failed")

    # --- commands ---------------------------------------------------------------------------------------------------

    def commands(self) -> list[Command]:
        """Return what `runbus control` has asked of this agent since the last call, the oldest first.

        Never raises and never waits: what is on its way comes with a later call. What was returned before and has no
        answer counts as done now. A stream that begins later than a command gets it only if it still holds: the newest
        `set` of each key, and `pause` until `resume`. Nothing comes without `control=True`, or after `close`.
        """
        inbox = self._inbox
        if inbox is not None and not inbox.waiting and not self._answers.open:
            return []  # what nearly every call finds: this is the loop's time
        try:
            if not self._given.control or self._closed:
                return []
            settled = self._answers.settle()
            taken = (inbox or self._follow_commands()).take()
            if not taken and not settled:
                return []
            for command in taken:
                self._answers.hand(command)
            self._say_answers()
            return [as_command(command, self._answer) for command in taken]
        except StreamEnded:
            self._complaints.closed()
        except Exception:
            log.exception("the commands of %s/%s cannot be taken", self.run, self.agent)
        return []

    def _follow_commands(self) -> Inbox:
        with PROCESS.lock:
            if self._inbox is None and self._courier_settings is not None:
                self._inbox = Inbox(self.run, self.agent, self.attempt)
                PROCESS.command_feed(self._courier_settings).follow(self._inbox)
            assert self._inbox is not None, "control needs Kafka"
            return self._inbox

    def _answer(self, id_: str, answer: str, note: str) -> None:
        try:
            self._answers.answer(id_, answer, note)
            self._say_answers()
        except Exception:
            log.exception("a command of %s/%s cannot be answered", self.run, self.agent)

    def _say_answers(self) -> None:
        self._begin()
        if self._recording is not None:
            self._recording.say_commands(self._answers.text())

    # --- called by wrappers of environments -----------------------------------------------------------------------

    def reserve_envs(self, count: int = 1) -> EnvReservation:
        """Return env indices that no other wrapper has, and that no row of the loop's own has so far."""
        with PROCESS.lock:
            stream = self._stream
            return self._env_indices.reserve(count, stream.positions.has if stream is not None else lambda _env: False)

    def number_episodes(self, first: int, *, env: int = 0) -> None:
        """Give the next episode of `env` at least the number `first`.

        For worlds of several agents: the agents of one episode of the world have episodes of the same number, also if
        some were not there in the episodes before.
        """
        try:
            stream = self._stream or self._begin()
            with stream.lock:
                stream.positions.number(env, first)
        except StreamEnded:
            self._complaints.closed()
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._complaints.refused(error)

    def take_time_from(self, now_ns: Callable[[], int]) -> None:
        """Let rows of `reset` and `step` have wall times of `now_ns`, in nanoseconds since the epoch.

        For who records what happened elsewhere or before. The stream begins here.
        """
        try:
            (self._stream or self._begin()).now_ns = now_ns
        except StreamEnded:
            self._complaints.closed()
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._complaints.refused(error)

    def give_back_envs(self, reservation: EnvReservation) -> None:
        """Let another wrapper have these indices; nothing if they were given back."""
        self._env_indices.give_back(reservation)

    # --- the stream -------------------------------------------------------------------------------------------

    def close(self, outcome: Outcome = "completed", error: str = "") -> None:
        """End the stream. Waits for artifacts that are being hashed, and for nothing else: `flush` does."""
        try:
            self._closed, self._stream, self._vector, self._metrics = True, None, None, None
            if self._recording is not None:
                if outcome != "failed" and self._answers.settle():
                    self._recording.say_commands(self._answers.text())
                self._recording.end(outcome, error)
                PROCESS.leave(self._recording)
        except Exception:
            log.exception("closing the recorder of %s/%s failed", self.run, self.agent)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was recorded is delivered or dropped; return whether it was within `timeout` seconds."""
        if self._recording is None:
            return True
        deadline = Deadline.after(timeout, monotonic())
        hashed = self._recording.hashing.wait(timeout)
        self._recording.close_batch()
        courier = self._recording.courier
        return (courier is None or courier.flush(deadline.remaining(monotonic()))) and hashed

    def stats(self) -> dict[str, int | str | dict[str, int]]:
        """Return this stream's counts, produced = delivered + dropped + in_flight, and its complaints.

        Those of its metrics and scores are in `metrics`; what of them is not recorded is `left_out` there.
        Rows after close() belong to no stream: `after_close` counts them.
        """
        counts = {"produced": 0, "delivered": 0, "dropped": 0, "in_flight": 0, "episodes": 0}
        if self._recording is not None:
            stream = self._recording.stream
            produced = stream.produced
            delivered, dropped = stream.counts.ended
            in_flight = produced - delivered - dropped
            counts = {"produced": produced, "delivered": delivered, "dropped": dropped, "in_flight": in_flight}
            counts["episodes"] = stream.positions.episodes
        counts["after_close"] = self._after_close
        journal = None if self._recording is None else self._recording.journal
        of_journal = {} if journal is None else {"journal": journal.stats()}
        found: dict[str, int | str | dict[str, int]] = {"run": self.run, "agent": self.agent, "attempt": self.attempt}
        return {
            **found,
            **counts,
            "metrics": self._metric_counts(),
            **of_journal,
            "complaints": self._complaints.counts(),
        }

    def _metric_counts(self) -> dict[str, int]:
        metrics = self._recording.metrics if self._recording is not None else None
        if metrics is None:
            return {"produced": 0, "delivered": 0, "dropped": 0, "in_flight": 0, "left_out": 0}
        produced = metrics.produced
        delivered, dropped = metrics.counts.ended
        counts = {"produced": produced, "delivered": delivered, "dropped": dropped}
        left_out = sum(metrics.counts.left_out.values())
        return {**counts, "in_flight": produced - delivered - dropped, "left_out": left_out}

    @property
    def attempt(self) -> int:
        """The start of the stream in microseconds since the epoch: with run and agent it names the stream.

        It is given out at the first use in a process, so that no two processes share one.
        """
        if self._recording is not None:
            return self._recording.stream.counts.id.attempt
        with PROCESS.lock:
            if self._reserved[0] != os.getpid():
                self._reserved = os.getpid(), PROCESS.attempt()
            return self._reserved[1]

    @property
    def stream_id(self) -> str:
        """The stream as text, `run/agent/attempt`: what another process gives as `parent`."""
        return str(StreamId(self.run, self.agent, self.attempt))

    @property
    def bus(self) -> RunBus:
        """The bus that the steps are published on."""
        return self._bus

    def describe_spaces(self, observation_space: str, action_space: str) -> None:
        """Say what one environment's values look like, where that was not said at construction: see Recorder.

        A wrapper does it for a recorder that it was given. It changes nothing once the stream has begun.
        """
        if self._recording is None:
            given = self._given
            self._given = replace(
                given,
                observation_space=given.observation_space or observation_space,
                action_space=given.action_space or action_space,
            )

    def __enter__(self) -> Self:
        if self._closed:
            self._complaints.closed()
        else:
            self._begin()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.close(*outcome_of(error))

    def _begin(self) -> RecordedStream:
        """Return the stream that takes rows; begins it at the first call. Raises StreamEnded after `close`."""
        with PROCESS.lock:
            if self._closed:
                raise StreamEnded("the recorder is closed")
            if self._recording is None:
                settings, owner = self._courier_settings, weakref.ref(self)
                courier = None if settings is None else PROCESS.courier(self._bus, settings)
                started = self._given.started(self.attempt)
                recording = Recording(
                    started,
                    self._given.observations,
                    self._bus,
                    courier,
                    self._complaints,
                    left_behind=lambda: _leave(owner),
                    journal=None if self._given.journal.path is None else self._given.journal,
                )
                weakref.finalize(self, setattr, recording, "forgotten", True).atexit = False
                for other in PROCESS.members():
                    other.beside(recording.stream.counts.id)
                PROCESS.join(recording)
                if self._given.control:
                    self._follow_commands()
                if recording.journal is not None and settings is not None:
                    recording.journal.orphans = PROCESS.adopt(recording.journal.path.parent, settings).orphans
                self._vector = VectorRows(recording.stream, self._complaints.refused)
                self._recording, self._stream = recording, recording.stream
            return self._recording.stream

    def _begin_vector(self) -> VectorRows:
        self._begin()
        if self._vector is None:
            raise StreamEnded("the recorder is closed")
        return self._vector

    def _refuse(self, error: Exception, count: Callable[[RecordedStream], None], rows: int = 1) -> None:
        """Count what could not be recorded, and say so once."""
        try:
            if isinstance(error, StreamEnded):
                self._count_after_close(rows)
                return
            self._complaints.refused(error)
            if self._recording is not None:
                count(self._recording.stream)
        except StreamEnded:
            self._count_after_close(rows)
        except Exception:
            log.exception("counting a refused step failed")

    def _count_after_close(self, rows: int) -> None:
        with PROCESS.lock:
            self._after_close += rows
        if self._recording is not None and self._recording.courier is not None:
            self._recording.courier.drop_outside(rows)
        self._complaints.closed()

    def after_fork(self) -> None:
        """Begin a stream of its own at the next row (called in a forked child); a closed one stays closed."""
        closed = self._closed
        self._set_up(self._given, self._bus if self._own_bus else None)
        self._closed = closed

    # --- copies -----------------------------------------------------------------------------------------------

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        """Return a recorder of the same agent and bus, whose stream has not begun."""
        other = type(self).__new__(type(self))
        other._env_indices = deepcopy(self._env_indices)
        other._set_up(self._given, self._bus if self._own_bus else None)
        return other

    def __copy__(self) -> Self:
        return self.__deepcopy__({})

    def __getstate__(self) -> tuple[_Given, EnvIndices, bool]:
        """Return what travels to another process: all but the bus."""
        return self._given, self._env_indices, self._own_bus

    def __setstate__(self, state: tuple[_Given, EnvIndices, bool]) -> None:
        given, self._env_indices, had_bus = state
        self._set_up(given, None)
        if had_bus:
            self._complaints.bus_stayed()


@dataclass(frozen=True, slots=True)
class _Given:
    """What a recorder was given, as it travels to another process. Config and spaces are JSON text."""

    run: str
    agent: str
    config: str
    observation_space: str
    action_space: str
    observations: Observations
    settings: KafkaSettings | None
    kafka: bool
    control: bool
    origin: Origin
    journal: JournalSettings
    role: str

    def started(self, attempt: int) -> RunEvent:
        """Return the event that begins a stream of this process."""
        return RunEvent(
            run_id=self.run,
            agent_id=self.agent,
            attempt=attempt,
            kind="STARTED",
            sent_at=now_us(),
            started_at=attempt,
            config=self.config,
            observation_space=self.observation_space,
            action_space=self.action_space,
            host=host(),
            pid=os.getpid(),
            version=version(),
            labels=self.origin.labels,
            tags=list(self.origin.tags),
            parent=self.origin.parent,
            parent_seq=self.origin.parent_seq,
            commands="[]" if self.control else "",
            role=self.role,
        )


def _leave(owner: weakref.ref[Recorder]) -> None:
    """Let a recorder begin a stream of its own in a forked child."""
    recorder = owner()
    if recorder is not None:
        recorder.after_fork()


def _rows(values: object, mask: ArrayLike | None = None) -> NDArray[np.int64]:
    """Return the numbers of the rows that a call was about; one row if that cannot be told."""
    try:
        rows = np.arange(row_count(values))
        return rows if mask is None else rows[np.asarray(mask, bool)]
    except Exception:  # noqa: BLE001 - without a length it was one call
        return np.arange(1)
