"""One stack for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.watchdog.installation import Installation, installation
from tests.integration.watchdog.reports import Reports, reports


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Yield a whole stack."""
    with installation(tmp_path_factory.mktemp("watched")) as made:
        yield made


@pytest.fixture
def said(running: Installation) -> Iterator[Reports]:
    """Yield what its watchdog says, once nothing is wrong."""
    with reports(running.kafka) as found:
        found.until("all is well", lambda document: document["state"] == "OK" and bool(document["groups"]))
        yield found
