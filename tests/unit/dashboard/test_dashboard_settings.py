"""The settings of the dashboard: what is refused before anything listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbus.config.errors import ConfigError
from runbus.config.sources import read_sources
from runbus.dashboard.settings import DashboardSettings


def load(**environ: str) -> DashboardSettings:
    """Read the settings of an environment."""
    return DashboardSettings.load(read_sources(environ={"RUNBUS_HOME": "/nowhere", **environ}))


def test_by_default_only_this_machine_may_look() -> None:
    """And a port alone is one of this machine."""
    assert load().listens_at == ("127.0.0.1", 8600)
    assert load(RUNBUS_DASHBOARD_ADDRESS="8601").listens_at == ("127.0.0.1", 8601)
    assert load(RUNBUS_DASHBOARD_ADDRESS="[::1]:0").listens_at == ("::1", 0)


@pytest.mark.parametrize("address", ["0.0.0.0:8600", "[::]:8600", "10.0.0.1:8600", "some.host:8600"])
def test_another_address_needs_a_token(address: str, tmp_path: Path) -> None:
    """Else it says in one sentence what to do."""
    with pytest.raises(ConfigError, match=r"RUNBUS_DASHBOARD_ADDRESS='.*' lets other machines .*DASHBOARD_TOKEN_FILE"):
        load(RUNBUS_DASHBOARD_ADDRESS=address)
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n", encoding="utf-8")
    found = load(RUNBUS_DASHBOARD_ADDRESS=address, RUNBUS_DASHBOARD_TOKEN_FILE=str(file))
    assert found.token.reveal() == "0123456789abcdef"
    assert file in found.credential_files


def test_a_short_token_is_none() -> None:
    """It says how long it has to be, and how to make one."""
    with pytest.raises(ConfigError, match=r"has 6 characters, 16 at least .*openssl rand -hex 32"):
        load(RUNBUS_DASHBOARD_TOKEN="secret")


def test_names_of_the_page_are_hosts() -> None:
    """With a port or a path they would never be one."""
    assert load(RUNBUS_DASHBOARD_HOSTS="Runs.example.org, pod-1").host_names == {"runs.example.org", "pod-1"}
    with pytest.raises(ConfigError, match=r"RUNBUS_DASHBOARD_HOSTS='https://x' .* without a port"):
        load(RUNBUS_DASHBOARD_HOSTS="https://x")
