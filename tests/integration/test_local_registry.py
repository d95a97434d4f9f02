"""The optional schema registry as a service."""

import json
import urllib.request
from pathlib import Path

import pytest

from runbus.config.sources import cache
from runbus.local.ports import free_port
from runbus.local.process import start
from runbus.local.registry import RegistryOptions, registry_service

pytestmark = pytest.mark.integration

SCHEMA = json.dumps({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]})


def register(url: str) -> int:
    """Register the schema; the same schema keeps its id."""
    body = json.dumps({"schema": SCHEMA}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/subjects/s-value/versions", body, headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        return int(json.load(response)["id"])


@pytest.mark.long
def test_schemas_survive_sigkill(tmp_path: Path) -> None:
    """A registered schema keeps its id when the registry is killed and started again; its log stays short."""
    ids = []
    for _ in range(2):
        options = RegistryOptions(tmp_path / "registry", free_port(), cache())
        process = start(registry_service(options), tmp_path / "registry.log")
        try:
            ids.append(register(options.url))
            with urllib.request.urlopen(f"{options.url}/schemas/ids/{ids[0]}", timeout=20) as response:
                assert json.loads(json.load(response)["schema"]) == json.loads(SCHEMA)
        finally:
            process.kill()
    assert ids[0] == ids[1]
    assert len((tmp_path / "registry.log").read_text().splitlines()) < 20
