"""What a health check asks, of pages that are really served."""

import asyncio
from collections.abc import Callable

import pytest

from runbus.config.errors import ConfigError
from runbus.probes import Health, Probe, serving
from runbus.probes.check import main, own_page


def asked(health: Health, work: Callable[[str], int]) -> int:
    """Return what `work` returns while a process that stands so is served at the address that it is given."""

    async def scene() -> int:
        async with serving("127.0.0.1:0", Probe("sink", lambda: health, tuple)) as address:
            return await asyncio.to_thread(work, str(address))

    return asyncio.run(scene())


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("0.0.0.0:9464", "http://127.0.0.1:9464/ready"),
        ("[::]:9464", "http://127.0.0.1:9464/ready"),
        ("10.1.2.3:80", "http://10.1.2.3:80/ready"),
        ("9464", "http://127.0.0.1:9464/ready"),
    ],
)
def test_it_asks_where_the_process_listens(text: str, url: str) -> None:
    """An address of all interfaces is asked on this machine's own."""
    assert own_page(text) == url


@pytest.mark.parametrize("text", ["", "127.0.0.1:0"])
def test_a_port_that_nobody_knows_is_an_error(text: str) -> None:
    """It says which variable to set."""
    with pytest.raises(ConfigError, match="RUNBUS_PROBES_ADDRESS"):
        own_page(text)


def test_ready_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a URL it asks the process that the variable names."""

    def work(address: str) -> int:
        monkeypatch.setenv("RUNBUS_PROBES_ADDRESS", address)
        return main([])

    assert asked(Health(joined=True), work) == 0


def test_not_ready_is_1_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """The page's own reasons are printed: they are what `docker inspect` shows."""
    assert asked(Health(waits_for="the broker"), lambda address: main([f"http://{address}/ready"])) == 1
    said = capsys.readouterr().err
    assert "/ready says 503" in said
    assert "waits for the broker" in said


def test_every_url_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """One page that fails is enough, and the others are asked all the same."""

    def work(address: str) -> int:
        return main(["http://127.0.0.1:9/ready", "nonsense", f"http://{address}/ready"])

    assert asked(Health(joined=True), work) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(" does not answer")[0] for line in said] == ["http://127.0.0.1:9/ready", "nonsense"]


def test_nothing_to_ask_is_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A container whose process has no probes is not healthy by accident."""
    monkeypatch.delenv("RUNBUS_PROBES_ADDRESS", raising=False)
    assert main([]) == 1
    assert "RUNBUS_PROBES_ADDRESS" in capsys.readouterr().err
