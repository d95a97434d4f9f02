"""Shares one set of engines between the workers of pytest-xdist.

The controller owns them: a worker asks it over a socket, and the first to ask waits for the start. They are children
of the controller, so none outlives it, whatever becomes of a worker, and if it ends by itself, by Ctrl-C or by SIGKILL.
"""

from __future__ import annotations

import secrets
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from typing import TypeAlias

import pytest

from runbus.config.errors import RunBusError
from tests.support.engines import Address, Engines
from tests.support.unavailable import Unavailable

#: Where the controller answers, and the key that a worker shows. Plain strings: xdist carries them to the workers.
Door: TypeAlias = tuple[str, str]


class SharedEngines:
    """Answers workers, one after the other, in a thread that lives as long as the engines.

    One thread only: the kernel ends a child together with the thread that started it.
    """

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._key = secrets.token_hex(16)
        self._listener = Listener(family="AF_UNIX", backlog=64, authkey=self._key.encode())
        self._thread = threading.Thread(target=self._serve, name="engines", daemon=True)
        self._thread.start()

    @property
    def door(self) -> Door:
        """What a worker needs to ask."""
        return str(self._listener.address), self._key

    def stop(self) -> None:
        """Stop the engines and answer nobody any more."""
        with Client(self.door[0], authkey=self._key.encode()) as connection:
            connection.send("")
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                with self._listener.accept() as connection:
                    name = connection.recv()
                    if not name:
                        break
                    connection.send(self._answer(name))
            except (EOFError, OSError, AuthenticationError):
                continue  # a worker that ended while it asked, or somebody else
        self._engines.stop()

    def _answer(self, name: str) -> Address | Exception:
        try:
            return self._engines.address(name)
        except (Unavailable, RunBusError) as error:
            return error
        except Exception as error:  # noqa: BLE001 - it is raised in the worker that asked, which may not know its class
            return RuntimeError(f"{name} did not start: {error!r}")


def door_of(config: pytest.Config) -> Door | None:
    """Return where the controller answers; None = this process is no worker."""
    door: Door | None = getattr(config, "workerinput", {}).get("engines")
    return door


def ask(door: Door, name: str) -> Address:
    """Return where an engine of the controller is. Raises what the controller met when it started it."""
    path, key = door
    with Client(path, authkey=key.encode()) as connection:
        connection.send(name)
        answer: Address | Exception = connection.recv()
    if isinstance(answer, Exception):
        raise answer
    return answer
