"""Runs a toy process under a runner: `python -m tests.integration.service.hosted RUNNER WHAT`; no broker is needed.

WHAT: `works` until it is stopped, `waits` for its broker, `returns` by itself, `fails` so that a person has to mend it,
`breaks` as a defect does, `is cancelled` by a library, `is replaced`: its topic.
It says `running` once it runs and `closed` at its end.
"""

from __future__ import annotations

import asyncio
import pkgutil
import sys
from dataclasses import replace
from functools import partial
from typing import Any

from runbus.config.errors import RunBusError
from runbus.config.log import start_log
from runbus.service.component import ProcessSpec, Start
from runbus.service.entry import exit_code
from runbus.service.host import serve
from runbus.service.topic_watch import TopicReplaced
from tests.unit.service.toy import Made, ToyBroker, ToyComponent


class Talking(ToyComponent):
    """A component that says what happens to it."""

    async def run(self, start: Start) -> None:
        """Work, and say so."""
        print("running", flush=True)
        try:
            await super().run(start)
        finally:
            await asyncio.sleep(0.2)  # the end takes a moment: a second signal comes into it
            print("closed", flush=True)


class Replaced(ToyBroker):
    """A broker whose topic is another one soon."""

    async def watch(self, start: Start) -> None:  # noqa: ARG002 - of the interface
        """Say so."""
        await asyncio.sleep(0.2)
        raise TopicReplaced("topic steps was deleted or re-created")


FAILURES: dict[str, BaseException] = {
    "fails": RunBusError("mend it"),
    "breaks": ZeroDivisionError("a defect"),
    "is cancelled": asyncio.CancelledError(),
}


def main(runner: str, what: str) -> int:
    """Run it; return the exit code."""
    start_log("info")
    run: Any = pkgutil.resolve_name(runner)

    def component(name: str) -> Talking:
        made = Talking(name)
        made.fails = FAILURES.get(what)
        if what == "returns":
            made.done.set()
        return made

    def broker(_: ProcessSpec) -> ToyBroker:
        made = Replaced() if what == "is replaced" else ToyBroker()
        if what != "waits":
            made.is_there.set()
        return made

    spec = replace(Made().spec(), new_component=component)
    return exit_code(lambda: run(partial(serve, spec, new_broker=broker)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
