"""One engine, one image and one stack for all tests here. The stack is torn down with its volumes at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.containers.engine import BASE, IMAGE, Engine, base_image, build_arguments, engine
from tests.deploy.containers.stack import Stack
from tests.deploy.running import ok

#: Of each agent of the first run; some seconds of learning.
STEPS = 20_000


@pytest.fixture(scope="session")
def container_engine() -> Iterator[Engine]:
    """Yield an engine that has the base image."""
    with engine() as started:
        base_image(started)
        yield started


@pytest.fixture(scope="session")
def image(container_engine: Engine) -> str:
    """Return the image of this checkout, built by `make image`."""
    variables = (f"IMAGE={IMAGE}", f"BASE_IMAGE={BASE}", f"BUILD_ARGS={build_arguments()}")
    ok(container_engine.make("image", *variables, seconds=1200))
    return IMAGE


@pytest.fixture(scope="session")
def stack(container_engine: Engine, image: str, tools: object) -> Iterator[Stack]:
    """Yield deploy/compose, started by `make compose-up` with every profile, agents included."""
    started = Stack(container_engine, STEPS)
    try:
        ran = started.make("compose-up", "PROFILES=core demo obs")
        assert ran.code == 0, f"{ran.said[-3000:]}\n{started.compose('logs', '--tail', '20').said[-20000:]}"
        yield started
    finally:
        started.compose("down", "--volumes", "--timeout", "20")
