"""`runbus config show`."""

from __future__ import annotations

import typer

from runbus.cli.context import settings
from runbus.cli.output import Json, print_json, print_table
from runbus.config.secret import Secret
from runbus.config.sources import Value

group = typer.Typer(help="The settings in force.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="config")


@group.command("show")
def show(context: typer.Context, as_json: Json = False) -> None:
    """Show every setting, its value (secrets masked) and where it comes from."""
    values = settings(context).sources.all()
    if as_json:
        print_json([{"env": v.setting.env, "value": _shown(v), "origin": v.origin} for v in values])
    else:
        print_table(("VARIABLE", "VALUE", "FROM"), [(v.setting.env, _shown(v), v.origin) for v in values])


def _shown(value: Value) -> str:
    return str(Secret(value.text)) if value.setting.secret else value.text
