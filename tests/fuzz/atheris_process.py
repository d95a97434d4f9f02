"""One target under atheris, in a process of its own: libFuzzer never returns. Started by run.py."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["runbus.schemas", "runbus.kafka", "runbus.sink"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz the target that the first argument names; the others are libFuzzer's."""
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
