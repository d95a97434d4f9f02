"""Records steps until it is ended: `python -m tests.integration.watchdog.agent RUN`; says so once one is delivered."""

from __future__ import annotations

import signal
import sys
import threading

from runbus.recorder import Recorder


def main(run: str) -> None:
    """Record an episode of twenty steps every fifth of a second."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with Recorder(run, "agent") as recorder:
        while not ended.wait(0.2):
            recorder.reset(0)
            for number in range(20):
                recorder.step(number, 1.0, number == 19, False, number)
            if recorder.flush(5.0):
                print("recording", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
