"""Asks probes: `python -m runbus.probes.check [URL ...]` exits with 0 if each page answers 200, else with 1.

For the health checks of containers and the tests of the chart: the image has no curl. Without a URL it asks /ready of
the process that listens at RUNBUS_PROBES_ADDRESS on this machine.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Sequence

from runbus.config.catalogue import PROBES_ADDRESS
from runbus.config.errors import ConfigError, RunBusError
from runbus.config.sources import read_sources
from runbus.probes.address import LOCAL, Address, probes_address

# Shorter than the deadline of any health check that runs this, so that the reason is printed and not cut off.
_ANSWER_S = 4.0


def own_page(text: str) -> str:
    """Return the URL of /ready at RUNBUS_PROBES_ADDRESS; an address of all interfaces is asked on 127.0.0.1.

    Raises ConfigError if nothing listens there, or at a port that only the process knows.
    """
    address = probes_address(text)
    if address is None or address.port == 0:
        raise ConfigError(f"{PROBES_ADDRESS.env}={text!r} names no port to ask: set one, or name the URL")
    host = LOCAL if address.host in {"0.0.0.0", "::"} else address.host  # noqa: S104 - compared, not bound
    return f"http://{Address(host, address.port)}/ready"


def ask(url: str) -> None:
    """Return if the page answers 200. Raises RunBusError with the page's text, or why there was no answer."""
    # Not urllib's default opener, which would ask through a proxy of the environment.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_ANSWER_S):
            return
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(2000).decode(errors="replace").strip()
        raise RunBusError(f"{url} says {error.code}: {text}") from error
    except (OSError, ValueError) as error:  # urllib's errors are OSErrors; ValueError: not a URL
        raise RunBusError(f"{url} does not answer: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask every page that is named, or the process's own; return the exit code."""
    urls = sys.argv[1:] if arguments is None else arguments
    failed = 0
    try:
        pages = tuple(urls) or (own_page(read_sources().get(PROBES_ADDRESS)),)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for url in pages:
        try:
            ask(url)
        except RunBusError as error:
            sys.stderr.write(f"{error}\n")
            failed = 1
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
