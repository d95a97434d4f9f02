"""The broker dies and comes back: a reader waits, says so once, and goes on where it was."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.process import RunningProcess, start
from runbus.reader import CursorNotSaved, Reader
from tests.integration.reader.log import Log, batch, seqs, take
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults]


def committed(reader: Reader) -> int:
    """Commit, again and again while the broker is away for longer than a commit waits; return what was saved."""
    while True:
        try:
            return sum(reader.commit().values())
        except CursorNotSaved as error:
            assert "commit again" in str(error)  # noqa: PT017 - the other outcome is the usual one


def test_sigkill_of_the_broker_loses_and_repeats_nothing(
    broker: tuple[KafkaOptions, list[RunningProcess]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a name and without: no error, no event twice; a commit that was under way is carried out afterwards."""
    options, started = broker
    settings = KafkaSettings(options.bootstrap_servers)
    apply_topics(settings, partitions=2)
    log = Log(settings)
    log.batches(batch(0), batch(4))
    with Reader("named", settings=settings) as named, Reader(start="beginning", settings=settings) as follower:
        assert seqs(take(named, 1)) == [0, 1, 2, 3]
        assert seqs(take(follower, 2)) == list(range(8))
        named.commit()
        assert seqs(take(named, 1)) == [4, 5, 6, 7]
        started[-1].kill()
        saved: list[int] = []
        committing = threading.Thread(target=lambda: saved.append(committed(named)))
        committing.start()
        assert follower.poll(1.0) is None
        started.append(start(kafka_service(options), tmp_path / "kafka.log"))
        committing.join()
        assert saved == [2]
        log.batches(batch(8))
        assert seqs(take(named, 1)) == seqs(take(follower, 1)) == [8, 9, 10, 11]
        assert named.poll(0.2) is follower.poll(0.2) is None
        named.commit()
    for word in ("reader.waiting", "reader.goes_on"):
        until(f"{word} is logged", lambda word=word: word in caplog.text)  # type: ignore[misc]
        assert caplog.text.count(f"{word} reader named") <= 1


def test_a_stopped_process_loses_its_partitions_and_its_late_commit(settings: KafkaSettings, log: Log) -> None:
    """SIGSTOP for longer than the session: another goes on at the cursor, and the late commit covers nothing of it."""
    log.batches(*[batch(4 * n) for n in range(4)])
    code = """
import sys
from runbus.reader import Reader, CursorNotSaved
reader = Reader("pair")
print(reader.poll(60).first_seq, flush=True)
sys.stdin.readline()
try:
    print(sum(reader.commit().values()), flush=True)
except CursorNotSaved as error:
    print(error, flush=True)
sys.stdin.readline()
"""
    environ = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
        "RUNBUS_READER_SESSION_SECONDS": "6",
    }
    stopped = subprocess.Popen(
        [sys.executable, "-c", code], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert stopped.stdin is not None
        assert stopped.stdout is not None
        assert stopped.stdout.readline() == "0\n"
        stopped.send_signal(19)  # SIGSTOP
        with Reader("pair", settings=settings) as other:
            assert seqs(take(other, 4)) == list(range(16))  # nothing was committed: all of it, once the session ended
            assert sum(other.commit().values()) == 4
            stopped.send_signal(18)  # SIGCONT
            stopped.stdin.write("\n")
            stopped.stdin.flush()
            said = stopped.stdout.readline()
            assert said == "0\n" or "other readers of this name have its partitions now" in said
            assert other.lag().events == 0
        with Reader("pair", settings=settings) as again:
            assert again.lag().events == 0
    finally:
        stopped.kill()
        stopped.communicate()
