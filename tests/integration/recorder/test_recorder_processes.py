"""Fork, spawn, exit and SIGTERM: each process delivers its own steps, and ends as it would without the recorder."""

import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from runbus.kafka.settings import KafkaSettings
from runbus.local.ports import free_port

pytestmark = pytest.mark.integration
Agent = Callable[..., subprocess.Popen[str]]


def contiguous(seqs: dict[tuple[str, str, int], list[int]]) -> bool:
    """Whether each stream has every seq once, in order."""
    return all(found == list(range(len(found))) for found in seqs.values())


def test_the_end_of_the_process_delivers_the_rest(settings: KafkaSettings, topic_log: Any, agent: Agent) -> None:
    """A script that closes nothing still leaves every step and a FINISHED event."""
    process = agent(
        settings,
        """
        from runbus.recorder import Recorder
        recorder = Recorder("run-1")
        for i in range(1000):
            recorder.step(i, 1.0, False, False, 0.5)
        """,
    )
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    assert [len(s) for s in topic_log.seqs().values()] == [1000]
    assert topic_log.runs()[-1].outcome == "completed"


def test_an_uncaught_exception_is_the_outcome(settings: KafkaSettings, topic_log: Any, agent: Agent) -> None:
    """The traceback and exit code are Python's own; FINISHED says failed."""
    process = agent(
        settings,
        """
        from runbus.recorder import Recorder
        Recorder("run-1").reset(0.0)
        raise ValueError("bad reward")
        """,
    )
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.strip().endswith("ValueError: bad reward")


SIGTERM_AGENT = """
    import signal, sys, time
    {before}
    from runbus.recorder import Recorder
    recorder = Recorder("run-1")
    recorder.reset(0.0)
    for i in range(10_000):
        recorder.step(i, 1.0, False, False, 0.5)
    print("recorded", flush=True)
    while True:
        recorder.step(0, 1.0, False, False, 0.5)
"""


def test_sigterm_delivers_the_rest_and_kills_as_before(settings: KafkaSettings, topic_log: Any, agent: Agent) -> None:
    """SIGTERM in the middle of the loop: everything recorded is delivered, then the default action ends the process."""
    process = agent(settings, SIGTERM_AGENT.format(before=""))
    assert process.stdout is not None
    assert process.stdout.readline() == "recorded\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (-signal.SIGTERM, "")
    seqs = topic_log.seqs()
    assert contiguous(seqs)
    finished = topic_log.runs()[-1]
    assert (finished.outcome, finished.error) == ("interrupted", "SIGTERM")
    assert [finished.produced] == [len(found) for found in seqs.values()]


def test_sigterm_calls_the_handler_that_was_there(settings: KafkaSettings, topic_log: Any, agent: Agent) -> None:
    """A handler of the program still runs, after the delivery."""
    before = 'signal.signal(signal.SIGTERM, lambda *_: sys.exit("bye"))'
    process = agent(settings, SIGTERM_AGENT.format(before=before))
    assert process.stdout is not None
    assert process.stdout.readline() == "recorded\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, "bye\n")
    assert contiguous(topic_log.seqs())


def test_a_handler_that_goes_on_keeps_recording(settings: KafkaSettings, topic_log: Any, agent: Agent) -> None:
    """A program that stops at its own pace after SIGTERM loses none of the steps until then."""
    process = agent(
        settings,
        """
        import signal, time
        stop = []
        signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
        from runbus.recorder import Recorder
        with Recorder("run-1") as recorder:
            print("recording", flush=True)
            while not stop:
                recorder.step(1, 1.0, False, False, 0.5)
            for i in range(500):
                recorder.step(i, 1.0, False, False, 0.5)
        print(recorder.stats()["produced"])
        """,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "recording\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    seqs = topic_log.seqs()
    assert contiguous(seqs)
    assert [len(found) for found in seqs.values()] == [int(out)]


THREADED_AGENT = """
    import threading, time
    from runbus.recorder import Recorder

    {main}
    def work():
        {thread}
        recorder.reset(0.0)
        for i in range(5_000):
            recorder.step(i, 1.0, False, False, 0.5)
        print("recorded", flush=True)

    threading.Thread(target=work).start()
    while True:
        time.sleep(0.01)
"""
MAKE = 'recorder = Recorder("run-1")'


@pytest.mark.parametrize(("main", "thread"), [(MAKE, "pass"), ("", MAKE)], ids=["made in main", "made in the thread"])
def test_sigterm_delivers_what_another_thread_recorded(
    main: str, thread: str, settings: KafkaSettings, topic_log: Any, agent: Agent
) -> None:
    """Python handles signals in the main thread only; the first row came in another one."""
    process = agent(settings, THREADED_AGENT.format(main=main, thread=thread))
    assert process.stdout is not None
    assert process.stdout.readline() == "recorded\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (-signal.SIGTERM, "")
    assert [len(found) for found in topic_log.seqs().values()] == [5_001]
    assert topic_log.runs()[-1].outcome == "interrupted"


def test_the_deadline_of_the_end_is_kept_and_what_is_left_is_said(kafka_settings: KafkaSettings, agent: Agent) -> None:
    """Without a broker, the process ends in time and names the steps that stay behind."""
    nowhere = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    process = agent(
        nowhere,
        """
        from runbus.recorder import Recorder
        with Recorder("run-1") as recorder:
            for i in range(777):
                recorder.step(i, 1.0, False, False, 0.5)
        """,
        RUNBUS_RECORDER_FLUSH_SECONDS="0.5",
    )
    _, err = process.communicate(timeout=15)
    assert process.returncode == 0
    assert "777 steps or values were not delivered" in err
    assert nowhere.bootstrap_servers in err


BLOCKED = """
    import numpy as np
    from runbus.recorder import Recorder
    recorder = Recorder("run-1", observations="all")
    print("recording", flush=True)
    while True:
        recorder.step(0, 1.0, False, False, np.zeros(100_000, np.uint8))
"""
FLUSHING = """
    from runbus.recorder import Recorder
    recorder = Recorder("run-1")
    recorder.step(0, 1.0, False, False, 0.5)
    print("recording", flush=True)
    while True:
        recorder.flush(600)
"""


@pytest.mark.parametrize("script", [BLOCKED, FLUSHING], ids=["publish", "flush"])
def test_sigterm_ends_a_process_that_waits_for_a_broker_that_is_down(script: str, agent: Agent) -> None:
    """Policy block waits for room for ever, and flush(600) for ten minutes: SIGTERM still ends both in time."""
    process = agent(
        KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}"),
        script,
        RUNBUS_RECORDER_POLICY="block",
        RUNBUS_RECORDER_QUEUE_MB="1",
        RUNBUS_RECORDER_FLUSH_SECONDS="1",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "recording\n"
    with pytest.raises(subprocess.TimeoutExpired):  # by now it waits: it fills 1 MiB in milliseconds
        process.wait(timeout=1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=1 + 2) == -signal.SIGTERM
    assert process.stderr is not None
    assert "steps or values were not delivered" in process.stderr.read()


WORKERS = """
    import multiprocessing, os, sys
    from runbus.recorder import Recorder

    def work(recorder, steps):
        recorder.reset(0.0)
        for i in range(steps):
            recorder.step(i, 1.0, False, False, 0.5)

    if __name__ == "__main__":
        recorder = Recorder("run-1")
        work(recorder, 5_000)
        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=work, args=(recorder, 1_000 + i)) for i in range(3)]
        for worker in workers:
            worker.start()
        work(recorder, 5_000)
        for worker in workers:
            worker.join()
        print([worker.exitcode for worker in workers])
        recorder.close()
"""


def test_forked_workers_are_streams_of_their_own(settings: KafkaSettings, topic_log: Any, agent: Agent) -> None:
    """Forked while the parent delivers: no dead-lock, no seq twice, each worker a new attempt with all its steps."""
    process = agent(settings, WORKERS)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "[0, 0, 0]\n", "")
    seqs = topic_log.seqs()
    assert contiguous(seqs)
    assert sorted(len(found) for found in seqs.values()) == [1001, 1002, 1003, 10_002]
    assert [e.kind for e in topic_log.runs()].count("FINISHED") == 4


def test_plain_fork_and_exit(settings: KafkaSettings, topic_log: Any, agent: Agent) -> None:
    """os.fork with a running producer: parent and child both deliver and exit cleanly."""
    process = agent(
        settings,
        """
        import os, sys
        from runbus.recorder import Recorder
        recorder = Recorder("run-1")
        for i in range(2_000):
            recorder.step(i, 1.0, False, False, 0.5)
        recorder.flush()
        child = os.fork()
        for i in range(500 if child == 0 else 100):
            recorder.step(i, 1.0, False, False, 0.5)
        if child == 0:
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "0\n", "")
    seqs = topic_log.seqs()
    assert contiguous(seqs)
    assert sorted(len(found) for found in seqs.values()) == [500, 2_100]


def test_a_spawned_worker_gets_a_working_copy(
    settings: KafkaSettings, topic_log: Any, agent: Agent, tmp_path: Any
) -> None:
    """A recorder that is pickled into a spawned process records there, as a new attempt."""
    script = tmp_path / "spawned.py"
    script.write_text(
        "import multiprocessing\n"
        "from runbus.recorder import Recorder\n"
        "def work(recorder):\n"
        "    for i in range(300):\n"
        "        recorder.step(i, 1.0, False, False, 0.5)\n"
        "if __name__ == '__main__':\n"
        "    recorder = Recorder('run-1')\n"
        "    recorder.step(0, 1.0, False, False, 0.5)\n"
        "    worker = multiprocessing.get_context('spawn').Process(target=work, args=(recorder,))\n"
        "    worker.start()\n"
        "    worker.join()\n"
        "    print(worker.exitcode)\n",
        encoding="utf-8",
    )
    process = agent(settings, f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out == "0\n"
    seqs = topic_log.seqs()
    assert contiguous(seqs)
    assert sorted(len(found) for found in seqs.values()) == [1, 300]


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_worker_whose_main_module_records_at_import_delivers(
    method: str, settings: KafkaSettings, topic_log: Any, agent: Agent, tmp_path: Any
) -> None:
    """It uses the recorder before multiprocessing calls it a worker, which forgets what was registered for its end."""
    script = tmp_path / "imports.py"
    script.write_text(
        "import multiprocessing\n"
        "from runbus.recorder import Recorder\n"
        "recorder = Recorder('run-1')\n"
        "recorder.reset(0.0)\n"
        "def work(steps):\n"
        "    for i in range(steps):\n"
        "        recorder.step(i, 1.0, False, False, 0.5)\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    workers = [context.Process(target=work, args=(n,)) for n in (300, 400)]\n"
        "    for worker in workers:\n"
        "        worker.start()\n"
        "    for worker in workers:\n"
        "        worker.join()\n"
        "    print([worker.exitcode for worker in workers])\n",
        encoding="utf-8",
    )
    process = agent(settings, f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "[0, 0]\n", "")
    seqs = topic_log.seqs()
    assert contiguous(seqs)
    at_import = 0 if method == "fork" else 1
    assert sorted(len(found) for found in seqs.values()) == [1, 300 + at_import, 400 + at_import]
    assert [e.kind for e in topic_log.runs()].count("FINISHED") == 3
