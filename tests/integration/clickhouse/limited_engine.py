"""ClickHouse's own access control as the judge of our roles, without a ClickHouse server.

The engine of the local stack has no SQL users: its session is always the user `default`. But it reads a configuration
file, and there `default` can be given exactly the grants, limits and row policies of one role. So what a role may do is
decided by the code that decides it in a server. `python -m tests.integration.clickhouse.limited_engine CONFIG ...` is
the adapter on an engine with that configuration file.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape

import chdb

from runbus.local.clickhouse import ClickHouseOptions, clickhouse_service
from runbus.local.clickhouse_http.__main__ import main
from runbus.local.process import running

_USER = "<password></password><networks><ip>::/0</ip></networks><quota>default</quota>"


@contextmanager
def limited(options: ClickHouseOptions, role: str, statements: Iterable[str]) -> Iterator[None]:
    """Run an engine whose only user is what `statements` say of `role`; without statements it may do everything."""
    users = options.home / "users.xml"
    users.write_text(users_file(role, list(statements)))
    with configured(options, f"<users_config>{users}</users_config>", role or "all"):
        yield


@contextmanager
def configured(options: ClickHouseOptions, settings: str, name: str) -> Iterator[None]:
    """Run an engine with these settings (XML) of a server's configuration file."""
    config = options.home / "config.xml"
    config.write_text(f"<clickhouse>{settings}</clickhouse>")
    service = clickhouse_service(options)
    start = service.argv.index("-m")
    argv = (*service.argv[:start], "-m", __name__, str(config), *service.argv[start + 2 :])
    with running(replace(service, argv=argv, cwd=Path(__file__).parents[3]), options.home / f"{name}.log"):
        yield


def users_file(role: str, statements: list[str]) -> str:
    """Return users.xml: `default` is the role; `maker` may do everything and is who made the views."""
    everything = "<access_management>1</access_management>"
    rights = everything
    if statements:
        queries = "".join(f"<query>{escape(q)}</query>" for q in _grants(role, statements))
        rights = f"<grants>{queries}</grants><databases>{_filters(role, statements)}</databases>"
    return (
        f"<clickhouse><profiles><default/><limited>{_profile(role, statements)}</limited></profiles><users>"
        f"<maker>{_USER}<profile>default</profile>{everything}</maker>"
        f"<default>{_USER}<profile>limited</profile>{rights}</default></users>"
        "<quotas><default><interval><duration>3600</duration><queries>0</queries></interval></default></quotas>"
        "</clickhouse>"
    )


def _grants(role: str, statements: list[str]) -> Iterator[str]:
    for statement in statements:
        match = re.fullmatch(rf"(GRANT .*?)\s+TO `{role}`", statement, re.DOTALL)
        if match:
            yield re.sub(r"\s+", " ", match[1])


def _profile(role: str, statements: list[str]) -> str:
    values, constraints = "", ""
    for statement in statements:
        match = re.fullmatch(rf"CREATE SETTINGS PROFILE .*? SETTINGS\s+(.*?)\s+TO `{role}`", statement, re.DOTALL)
        for setting in match[1].split(",") if match else ():
            name, _, rest = setting.strip().partition(" = ")
            value, *limits = rest.split()
            values += f"<{name}>{value}</{name}>"
            if limits == ["CONST"]:
                constraints += f"<{name}><const/></{name}>"
            elif limits:
                least, most = limits[1], limits[3]
                constraints += f"<{name}><min>{least}</min><max>{most}</max></{name}>"
    return f"{values}<constraints>{constraints}</constraints>"


def _filters(role: str, statements: list[str]) -> str:
    found = ""
    for statement in statements:
        match = re.fullmatch(
            rf"CREATE ROW POLICY .*? ON `(\w+)`\.(\w+)\s+USING (.*?)\s+TO .*`{role}`.*", statement, re.DOTALL
        )
        if match:
            found += f"<{match[1]}><{match[2]}><filter>{escape(match[3])}</filter></{match[2]}></{match[1]}>"
    return found


def _connect(connect: Callable[[str], object], configuration: str, path: str) -> object:
    return connect(f"{path}?config-file={configuration}")


if __name__ == "__main__":
    configuration = sys.argv.pop(1)
    chdb.connect = partial(_connect, chdb.connect, configuration)  # type: ignore[assignment]
    main()
