"""Adds `runbus config show`."""

from __future__ import annotations

import typer

from runbus.cli.context import settings
from runbus.cli.output import Json, print_json, print_table
from runbus.config.catalogue import CACHE, CONFIG_FILE, HOME, PLACES, SETTINGS
from runbus.config.options import OPTIONS
from runbus.config.secret import Secret
from runbus.config.sources import Value, cache, home

group = typer.Typer(help="The settings in force.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="config")


@group.command("show")
def show(context: typer.Context, as_json: Json = False) -> None:
    """Show every setting, its value (secrets masked), its unit and where it comes from."""
    sources = settings(context).sources
    values = sources.all((*SETTINGS, *OPTIONS, *PLACES))
    found = {CONFIG_FILE.env: sources.file_path, HOME.env: home(), CACHE.env: cache()}
    rows = [(v.setting.env, _shown(v) or str(found.get(v.setting.env) or ""), _unit(v), v.origin) for v in values]
    if as_json:
        print_json([dict(zip(("env", "value", "unit", "origin"), row, strict=True)) for row in rows])
    else:
        print_table(("VARIABLE", "VALUE", "UNIT", "FROM"), rows)


def _shown(value: Value) -> str:
    return str(Secret(value.text)) if value.setting.secret else value.text


def _unit(value: Value) -> str:
    return value.setting.kind.unit
