"""`runbus export` of what ClickHouse, or the log, has: read with their own libraries, files equal the ledgers."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import pyarrow.parquet as pq
import pytest
from gymnasium.vector import AutoresetMode
from minari import MinariDataset

from runbus.clickhouse.tables import RUNS, STEPS
from runbus.config.clickhouse import ClickHouseSettings
from runbus.gymnasium import RecordSteps
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.recorder import ABSENT, Recorder, RunBus
from runbus.recorder.events import StepsRecorded, StreamFinished
from runbus.schemas.batch import encode
from tests.integration.asked import Asked
from tests.support import autoreset_matrix as matrix
from tests.support.exported import Ledgers, by_env, minari_ledger, parquet_ledger, with_ends

if TYPE_CHECKING:
    from tests.integration.clickhouse.conftest import Store

pytestmark = pytest.mark.integration


@pytest.fixture
def asked(store: Store, tmp_path: Path) -> Asked:
    """Return the command, with the address of the test's database."""
    return Asked(tmp_path, settings_of(store.settings))


def settings_of(settings: ClickHouseSettings) -> dict[str, str]:
    """Return the environment that names a database."""
    return {
        "CLICKHOUSE_URL": settings.url,
        "CLICKHOUSE_USER": settings.user,
        "CLICKHOUSE_PASSWORD": settings.password.reveal(),
        "CLICKHOUSE_DATABASE": settings.database,
    }


class Played:
    """A recorder whose steps are stored when it is closed."""

    def __init__(self, store: Store, run_id: str) -> None:
        bus = RunBus()
        self._subscription = bus.subscribe("test", max_events=1_000_000, max_bytes=1_000_000_000)
        self._store = store
        self.recorder = Recorder(run_id, bus=bus, kafka=False, observations="all", config={"lr": 0.5})

    def store(self, twice: int = 0) -> None:
        """Insert what was recorded as the sink does; the last `twice` batches again, as a journal may resend them."""
        self.recorder.close()
        events = self._subscription.get_many(1_000_000)
        again = (
            [encode(event.batch()) for event in events if isinstance(event, StepsRecorded)][-twice:] if twice else []
        )
        if again:
            self._store.insert(STEPS, again, first_offset=1_000_000)
        self._store.insert(STEPS, [encode(event.batch()) for event in events if isinstance(event, StepsRecorded)])
        self._store.insert(RUNS, [event.final(1).encode() for event in events if isinstance(event, StreamFinished)])


def stored(store: Store, run_id: str, space: str) -> Ledgers:
    """Play vector environments, store what was recorded, and return their ledgers."""
    played = Played(store, run_id)
    ledgers: Ledgers = matrix.played(matrix.Play(AutoresetMode.NEXT_STEP, "sync", space), played.recorder, 1)
    played.store()
    return ledgers


def opened(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the table and the description of a file."""
    return pq.read_table(path), json.loads(pq.read_metadata(path).metadata[b"runbus"])


@pytest.mark.parametrize("space", ["dict", "mixed"])
def test_parquet_is_the_ledger(asked: Asked, store: Store, run_id: str, space: str) -> None:
    """Every episode with --incomplete, with spaces and config; values of one size, and of several."""
    ledgers = stored(store, run_id, space)
    done = asked.run("export", run_id, "--incomplete")
    assert (done.returncode, done.stderr) == (0, b"")
    table, about = opened(asked.home / f"{run_id}.parquet")
    assert matrix.same(by_env(parquet_ledger(table, about), len(ledgers)), ledgers)
    assert done.stdout.decode() == (f"{run_id}.parquet: {sum(map(len, ledgers))} episodes, {table.num_rows} rows\n")
    (stream,) = about["streams"]
    assert json.loads(about["texts"][stream["config"]]) == {"lr": 0.5}
    assert json.loads(about["texts"][stream["observation_space"]])["type"] == "Dict"
    assert [path.name for path in asked.home.iterdir()] == [f"{run_id}.parquet"]


def test_a_step_that_is_stored_twice_is_exported_once(asked: Asked, store: Store, run_id: str) -> None:
    """A journal that could not look into the log sent some batches again: the file is the same."""
    played = Played(store, run_id)
    ledgers: Ledgers = matrix.played(matrix.Play(AutoresetMode.NEXT_STEP, "sync", "mixed"), played.recorder, 1)
    played.store(twice=2)
    ((rows, different),) = store.rows(
        "SELECT count(), uniqExact(seq) FROM steps WHERE run_id = {run_id:String}", run_id=run_id
    )
    assert rows > different
    done = asked.run("export", run_id, "--incomplete")
    assert (done.returncode, done.stderr) == (0, b"")
    table, about = opened(asked.home / f"{run_id}.parquet")
    assert matrix.same(by_env(parquet_ledger(table, about), len(ledgers)), ledgers)


def test_minari_is_the_ledger(asked: Asked, store: Store, run_id: str) -> None:
    """The dataset has the recorded spaces and complete episodes; the others are counted on standard error."""
    ledgers = stored(store, run_id, "mixed")
    expected, _ = with_ends(
        [[one for one in ledger if one["steps"] and any(one["steps"][-1][2:4])] for ledger in ledgers]
    )
    left_out = sum(map(len, ledgers)) - sum(map(len, expected))
    done = asked.run("export", run_id, "--format", "minari", "--output", "mixed-v3")
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode() == (
        f"runbus: left out: {left_out} episodes are not complete (--incomplete takes them)\n"
    )
    dataset = MinariDataset(asked.home / "mixed-v3" / "data")
    assert matrix.same(by_env(minari_ledger(dataset), len(ledgers)), expected)
    assert (dataset.id, dataset.observation_space) == ("mixed-v3", matrix.SPACES["mixed"])


def test_all_that_a_loop_says_comes_out_of_the_tables(asked: Asked, store: Store, run_id: str) -> None:
    """Absent and ragged values, seeds, labels, parents, ticks and every logged number are in the file."""
    played = Played(store, run_id)
    recorder = played.recorder
    for lengths in ((1, 2), (3, 0)):
        recorder.reset([7.5] * lengths[0], seed=-(2**65), labels={"task": "a"})
        for number in (1.0, math.nan, 2.0):
            recorder.log({"loss": number})
        recorder.log({"lr": math.nan})
        recorder.step({"tool": "x"}, 1, False, False, ABSENT, kind="tool", status="ok", parent=0, tick=5)
        recorder.step({"tool": [1]}, 1, True, False, [7.5] * lengths[1], stop="solved", info={"x": 1})
    played.store()
    done = asked.run("export", run_id, "--json", "-o", "a.parquet")
    assert json.loads(done.stdout) == {
        "path": "a.parquet",
        "format": "parquet",
        "episodes": 2,
        "rows": 6,
        "left_out": {},
        "notes": [],
    }
    table, about = opened(asked.home / "a.parquet")
    assert about["values"] == {
        "action": {"dtype": "json", "shape": []},
        "observation": {"dtype": "<f8", "shape": [-1]},
    }
    assert table["observation"].to_pylist() == [[7.5], None, [7.5] * 2, [7.5] * 3, None, []]
    assert table["action"].to_pylist()[:3] == [None, '{"tool":"x"}', '{"tool":[1]}']
    reset, step, last = table.select(
        ["seed", "labels", "kind", "status", "parent", "tick", "logged", "stop", "info"]
    ).to_pylist()[:3]
    assert (reset["seed"], reset["labels"], reset["parent"]) == (str(-(2**65)), [("task", "a")], None)
    assert (step["kind"], step["status"], step["parent"], step["tick"]) == ("tool", "ok", 0, 5)
    assert str(sorted(step["logged"])) == "[('loss', [1.0, nan, 2.0]), ('lr', [nan])]"
    assert (last["stop"], last["info"], last["tick"]) == ("solved", '{"x":1}', None)


def test_what_cannot_be_done_is_one_sentence(asked: Asked, store: Store, run_id: str) -> None:
    """Exit code 1 or 2, nothing is left behind, and what was there stays."""
    stored(store, run_id, "box")
    (asked.home / "a.parquet").write_text("mine")
    for arguments, code, said in (
        (("-o", "a.parquet"), 1, "a.parquet is there already"),
        (("-o", "b.parquet", "--to", "2020-01-01"), 1, "nothing to export"),
        (("--from", "2027-01-01", "--to", "2026-01-01"), 2, "is not before"),
    ):
        done = asked.run("export", run_id, *arguments)
        assert (done.returncode, said in done.stderr.decode()) == (code, True), done
        assert (done.stdout, done.stderr.count(b"\n")) == (b"", 1)
    assert [path.name for path in asked.home.iterdir()] == ["a.parquet"]
    assert (asked.home / "a.parquet").read_text() == "mine"


def test_the_page_runs(
    asked: Asked, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands of docs/export.md write what its snippets read."""
    played = Played(store, "cartpole-1")
    env = RecordSteps(gymnasium.make("CartPole-v1"), played.recorder)
    for seed in range(3):
        env.reset(seed=seed)
        while not any(env.step(seed % 2)[2:4]):
            pass
    played.store()
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
    for command in re.findall(r"^runbus (export [^#\n]*)", page, re.MULTILINE):
        done = asked.run(*command.split())
        assert (done.returncode, done.stderr) == (0, b"")
    monkeypatch.chdir(asked.home)
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        exec(code, {})
    printed = capsys.readouterr().out
    assert "3 {} {'dtype': '<f4', 'shape': [4]}" in printed
    assert "cartpole-v0 Box(" in printed
    assert printed.count("True\n") == 3


def test_the_log_can_be_read_instead(tmp_path: Path, kafka: str, topic_prefix: str, run_id: str) -> None:
    """`--store kafka`: the same file, with config and spaces, without a ClickHouse."""
    settings = KafkaSettings(kafka, topic_prefix=topic_prefix)
    apply_topics(settings, partitions=1)
    recorder = Recorder(run_id, settings=settings, observations="all", config={"lr": 0.5})
    ledgers: Ledgers = matrix.played(matrix.Play(AutoresetMode.NEXT_STEP, "sync", "tuple"), recorder, 1)
    recorder.close()
    assert recorder.flush(30)
    asked = Asked(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": kafka, "RUNBUS_TOPIC_PREFIX": topic_prefix})
    done = asked.run("export", run_id, "--incomplete", "--store", "kafka", "-o", "a.parquet")
    assert (done.returncode, done.stderr) == (0, b"")
    table, about = opened(tmp_path / "a.parquet")
    assert matrix.same(by_env(parquet_ledger(table, about), len(ledgers)), ledgers)
    assert json.loads(about["texts"][about["streams"][0]["config"]]) == {"lr": 0.5}
