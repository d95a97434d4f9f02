"""Measures what SIGKILL of an agent costs: steps whose call had returned and that nobody has afterwards.

Method: an agent takes `--rate` steps a second and records each with one library. Behind each call it adds a byte to a
ledger, the environment's own. It is killed by SIGKILL at a random moment between `--least` and `--most` seconds,
`--kills` times a library. What is lost is the ledger's length less what the library has: for RunBus the steps in the
log, after `deliver` of the journal if there is one; for the others what their own reader finds in what they left on
disk. A step that is there twice counts in `twice`. The libraries take turns.

Libraries: `runbus` (no journal), `runbus-batch`, `runbus-step` (with one), and those that are installed of `trackio`,
`wandb` (offline), `mlflow` (its SQLite store) and `minari` (a DataCollector writes a dataset when it is told to).
Targets: runbus <= 50 ms and what is on its way, runbus-batch <= 50 ms (256 steps), runbus-step 0; twice 0.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import open_topic
from runbus.kafka.topics import STEPS
from runbus.recorder.journal.folder import orphans
from runbus.recorder.journal.recovery import deliver
from runbus.recorder.settings import CourierSettings
from runbus.schemas.batch import decode_header
from runbus.schemas.codec import Codec
from setup.engines import broker

RUN = "kills"
_AGENT = """
import os, sys, time
ledger = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
folder, name, pause = sys.argv[2], sys.argv[3], 1 / float(sys.argv[4])
{begin}
i = 0
due = time.monotonic()
while True:
    {step}
    os.write(ledger, b".")
    i += 1
    due += pause
    time.sleep(max(0.0, due - time.monotonic()))
"""
_RUNBUS = """
from runbus.recorder import Recorder
recorder = Recorder("kills", name)
observation = [0.0, 0.0, 0.0, 0.0]
"""
_TRACKIO = """
import trackio
trackio.init(project="kills", name=name, embed=False, auto_log_gpu=False, auto_log_cpu=False)
"""
_WANDB = """
import wandb
run = wandb.init(project="kills", name=name, mode="offline", dir=folder, settings=wandb.Settings(silent=True))
"""
_MLFLOW = """
import mlflow
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
mlflow.start_run()
"""
_MINARI = """
import gymnasium, minari
import numpy as np
class Env(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, **_):
        return np.zeros(4, np.float32), {}
    def step(self, _):
        return np.zeros(4, np.float32), 1.0, False, False, {}
env = minari.DataCollector(Env())
env.reset(seed=1)
"""


@dataclass(frozen=True)
class Library:
    """One way to record.

    Attributes:
        begin, step: code of the agent.
        found: (folder, name) -> the numbers of the steps that are there afterwards.
        env: of the agent.
        needs: modules that have to be installed.
    """

    name: str
    begin: str
    step: str
    found: Callable[[Path, str], list[int]]
    env: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass
class Losses:
    """What the kills of one library cost."""

    recorded: int = 0
    lost: list[int] = field(default_factory=list)
    twice: int = 0

    def as_dict(self) -> dict[str, float]:
        """Return the figures."""
        return {
            "kills": len(self.lost),
            "recorded": self.recorded,
            "lost_median": statistics.median(self.lost),
            "lost_most": max(self.lost),
            "lost_in_all": sum(self.lost),
            "twice": self.twice,
        }


def in_log(settings: KafkaSettings) -> Callable[[Path, str], list[int]]:
    """Return how to find an agent's steps in the log; its journal is delivered before."""

    def found(folder: Path, name: str) -> list[int]:
        for path in list(orphans(folder)):
            delivery = deliver(path, CourierSettings(settings))
            if not delivery.done:
                sys.exit(f"{name}: {delivery.why}")
        seqs: list[int] = []
        with open_topic(settings, STEPS, "bench") as log:
            for message in log.records():
                writer, body = Codec().open(message.value(), "StepBatch")
                header = decode_header(body, writer)
                if header.agent_id == name:
                    seqs += range(header.first_seq, header.next_seq)
        return seqs

    return found


def in_trackio(folder: Path, name: str) -> list[int]:
    """Return the steps that trackio has, by its own reader."""
    code = """
        import json, sys
        from trackio.sqlite_storage import SQLiteStorage
        print(json.dumps([log["i"] for log in SQLiteStorage.get_logs("kills", sys.argv[1]) if "i" in log]))
    """
    return _asked(code, folder, name)


def in_wandb(folder: Path, _name: str) -> list[int]:
    """Return the steps in wandb's offline file: blocks of 32 KiB, each record in one piece or in first to last."""
    code = """
        import glob, json, struct, sys
        from wandb.proto import wandb_internal_pb2 as pb
        found = []
        for path in glob.glob(sys.argv[1] + "/wandb/offline-run-*/*.wandb"):
            data, at, whole = open(path, "rb").read(), 7, b""
            while at + 7 <= len(data):
                if 32768 - at % 32768 < 7:
                    at += 32768 - at % 32768
                    continue
                _, length, kind = struct.unpack_from("<IHB", data, at)
                if not kind or at + 7 + length > len(data):
                    break
                whole = (b"" if kind in (1, 2) else whole) + data[at + 7 : at + 7 + length]
                at += 7 + length
                if kind in (1, 4):
                    items = pb.Record.FromString(whole).history.item
                    found += [int(x.value_json) for x in items if x.key == "i" or list(x.nested_key) == ["i"]]
        print(json.dumps(found))
    """
    return _asked(code, folder, str(folder))


def in_mlflow(folder: Path, _name: str) -> list[int]:
    """Return the steps in mlflow's store, by SQL: its own reader pages through runs."""
    code = """
        import json, sqlite3, sys
        store = sqlite3.connect(sys.argv[1] + "/mlflow.db")
        print(json.dumps([step for step, in store.execute("SELECT step FROM metrics WHERE key = 'i'")]))
    """
    return _asked(code, folder, str(folder))


def in_minari(folder: Path, _name: str) -> list[int]:
    """Return the steps in datasets; before create_dataset() there is none, and its temporary files have no reader."""
    return [0 for _ in (folder / "minari").glob("*/data/main_data.*")]


def _asked(code: str, folder: Path, argument: str) -> list[int]:
    environment = {**os.environ, "TRACKIO_DIR": str(folder)}
    command = [sys.executable, "-c", textwrap.dedent(code), argument]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return [int(number) for number in json.loads(answer.splitlines()[-1])]


def libraries(settings: KafkaSettings) -> list[Library]:
    """Return the libraries that are installed."""
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers}
    step = "recorder.step(i % 2, 1.0, False, False, observation)"
    found = in_log(settings)
    every = [
        Library("runbus", _RUNBUS, step, found, kafka),
        Library("runbus-batch", _RUNBUS, step, found, {**kafka, "RUNBUS_RECORDER_JOURNAL_MODE": "batch"}),
        Library("runbus-step", _RUNBUS, step, found, {**kafka, "RUNBUS_RECORDER_JOURNAL_MODE": "step"}),
        Library("trackio", _TRACKIO, "trackio.log({'i': i})", in_trackio, {"HF_HUB_OFFLINE": "1"}, ("trackio",)),
        Library("wandb", _WANDB, "run.log({'i': i})", in_wandb, needs=("wandb",)),
        Library("mlflow", _MLFLOW, "mlflow.log_metric('i', i, step=i)", in_mlflow, needs=("mlflow",)),
        Library("minari", _MINARI, "env.step(0)", in_minari, needs=("minari", "jax")),
    ]
    return [library for library in every if all(map(find_spec, library.needs))]


def kill(library: Library, folder: Path, number: int, rate: float, seconds: float) -> tuple[int, list[int]]:
    """Run an agent for so many seconds from its first step on, kill it; return its ledger and what is found."""
    name = f"{library.name}-{number}"
    folder = folder / name
    folder.mkdir()
    ledger = folder.parent / f"{name}.ledger"
    folders = {"TRACKIO_DIR": str(folder), "MINARI_DATASETS_PATH": str(folder / "minari")}
    environment = {**os.environ, **folders, **library.env}
    if "RUNBUS_RECORDER_JOURNAL_MODE" in library.env:
        environment["RUNBUS_RECORDER_JOURNAL"] = str(folder)
    code = _AGENT.format(begin=library.begin, step=library.step)
    agent = subprocess.Popen(
        [sys.executable, "-c", code, str(ledger), str(folder), name, str(rate)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not ledger.exists() or not ledger.stat().st_size:
        if agent.poll() is not None:
            sys.exit(f"the agent of {library.name} ended by itself")
        time.sleep(0.01)
    time.sleep(seconds)
    agent.kill()
    agent.wait()
    recorded = ledger.stat().st_size
    time.sleep(1.0)  # a service process of the library may still write
    return recorded, library.found(folder, name)


def main() -> None:
    """Kill agents and print what that cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rate", type=float, default=1000.0, help="steps a second")
    parser.add_argument("--least", type=float, default=0.2)
    parser.add_argument("--most", type=float, default=2.0)
    parser.add_argument("--only", default="", help="names of libraries, comma separated")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("runbus").setLevel(logging.CRITICAL)
    moments = random.Random(1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, broker(Path(folder)) as settings:
        apply_topics(settings)
        asked = [x for x in libraries(settings) if not arguments.only or x.name in arguments.only.split(",")]
        losses = {library.name: Losses() for library in asked}
        for number in range(arguments.kills):
            seconds = moments.uniform(arguments.least, arguments.most)
            for library in asked:
                recorded, found = kill(library, Path(folder), number, arguments.rate, seconds)
                of = losses[library.name]
                of.recorded += recorded
                of.lost.append(max(0, recorded - len(set(found))))
                of.twice += len(found) - len(set(found))
    results = {name: of.as_dict() for name, of in losses.items()}
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"steps lost by SIGKILL at {arguments.rate:.0f} steps/s, {arguments.kills} kills each")
    print(f"  {'':14s} {'recorded':>9s} {'median':>8s} {'most':>8s} {'in all':>8s} {'twice':>6s}")
    for name, row in results.items():
        print(
            f"  {name:14s} {row['recorded']:9.0f} {row['lost_median']:8.0f} {row['lost_most']:8.0f} "
            f"{row['lost_in_all']:8.0f} {row['twice']:6.0f}"
        )


if __name__ == "__main__":
    main()
