"""Fork, Ctrl-C, close and the end of the process: each is clean. With real processes and a real broker."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from runbus.kafka.settings import KafkaSettings
from runbus.reader import LogEvent, Reader, ReaderClosed
from tests.integration.reader.log import Log, batch, seqs, take
from tests.support.waiting import until_holds

pytestmark = pytest.mark.integration
Script = Callable[..., subprocess.Popen[str]]


def test_a_forked_child_is_told_and_reads_with_a_reader_of_its_own(log: Log, script: Script) -> None:
    """The parent's reader goes on, the child's use of it is one sentence, and one that did not begin is the child's."""
    log.batches(batch(0), batch(4))
    process = script(
        """
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of a fork beside threads
        from runbus.reader import Reader, ReaderForked
        mine, fresh = Reader("parent"), Reader("child")
        print("parent", mine.poll(30).first_seq, flush=True)
        if not (child := os.fork()):
            for use in (mine.poll, mine.commit, mine.lag, lambda: next(mine)):
                try:
                    use()
                except ReaderForked as error:
                    print(error, flush=True)
            mine.close()
            print("child", fresh.poll(30).first_seq, sum(fresh.commit().values()), flush=True)
            fresh.close()
            raise SystemExit(0)
        print("exit", os.waitpid(child, 0)[1], flush=True)
        print("parent", mine.poll(30).first_seq, sum(mine.commit().values()), flush=True)
        """
    )
    out, err = process.communicate(timeout=90)
    assert (process.returncode, err) == (0, "")
    lines = out.splitlines()
    assert lines[1:5] == ["reader parent was begun before the fork, by the parent: make a new one in this process"] * 4
    assert [lines[0], *lines[5:]] == ["parent 0", "child 0 1", "exit 0", "parent 4 2"]


def test_ctrl_c_ends_a_poll_at_once_and_the_next_one_goes_on(log: Log, script: Script) -> None:
    """KeyboardInterrupt leaves a poll that waits; no event is lost; the traceback of the script is its own."""
    process = script(
        """
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from runbus.reader import Reader
        reader = Reader("interrupted")
        print(reader.poll(30).first_seq, flush=True)
        try:
            reader.poll()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        print(reader.poll(30).first_seq, sum(reader.commit().values()), flush=True)
        """
    )
    log.batches(batch(0))
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    time.sleep(0.3)  # so that it waits in its poll; if it does not yet, the test still holds
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n"
    assert time.monotonic() - begin < 10
    log.batches(batch(4))
    assert process.stdout.readline() == "4 2\n"
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_script_that_closes_nothing_leaves_its_group_at_exit(
    settings: KafkaSettings, log: Log, script: Script
) -> None:
    """The next reader of the name need not wait for a session to end."""
    log.batches(batch(0), batch(4))
    process = script(
        """
        from runbus.reader import Reader
        reader = Reader("left")
        print(reader.poll(30).first_seq, sum(reader.commit().values()))
        """
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "0 1\n", "")
    begin = time.monotonic()
    with Reader("left", settings=settings) as reader:
        assert seqs(take(reader, 1)) == [4, 5, 6, 7]
    assert time.monotonic() - begin < 9  # a session is 10 s


def test_close_ends_an_iteration_that_waits(settings: KafkaSettings, log: Log) -> None:
    """From another thread; further calls say that it is closed, and closing again is nothing."""
    log.batches(batch(0))
    reader = Reader("closed", settings=settings)
    found: list[LogEvent] = []
    seen = threading.Event()

    def read() -> None:
        for event in reader:
            found.append(event)
            seen.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert seen.wait(30)
    reader.close()
    thread.join(10)
    assert not thread.is_alive()
    assert seqs(found) == [0, 1, 2, 3]
    assert list(reader) == []
    for call in (reader.poll, reader.commit, reader.lag):
        with pytest.raises(ReaderClosed, match="reader closed is closed: make a new one"):
            call()
    reader.close()


def test_close_in_the_middle_of_an_iteration_ends_it(settings: KafkaSettings, log: Log) -> None:
    """Inside the loop: what was fetched and not returned is not handed out, and the cursor has not passed it."""
    log.batches(batch(0), batch(4), batch(8))
    with Reader("middle", settings=settings) as reader:
        found = []
        for event in reader:
            found.append(event)
            reader.commit()
            reader.close()
    assert seqs(found) == [0, 1, 2, 3]
    with Reader("middle", settings=settings) as reader:
        assert seqs(take(reader, 2)) == list(range(4, 12))


def test_async_for_lets_the_loop_turn(settings: KafkaSettings, log: Log) -> None:
    """Events come while other tasks run; a commit is awaited; close ends the iteration; a cancelled wait loses none."""
    log.batches(batch(0))

    async def scene() -> tuple[list[LogEvent], int]:
        found: list[LogEvent] = []
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(turn())
        async with Reader("async", settings=settings) as reader:
            found.append(await anext(reader))
            waiting = asyncio.create_task(anext(reader))
            before = turns
            await until_holds(lambda: turns > before + 100)
            waiting.cancel()
            await asyncio.to_thread(log.batches, batch(4), batch(8))
            async for event in reader:
                found.append(event)
                if len(found) == 3:
                    assert sum((await reader.commit_async()).values()) == 3
                    reader.close()
        beside.cancel()
        return found, turns

    found, turns = asyncio.run(scene())
    assert seqs(found) == list(range(12))
    assert turns > 100
