"""Adds `runbus schema check` and `push`."""

from __future__ import annotations

import typer

from runbus.cli.context import settings
from runbus.cli.output import Json, print_json, print_table
from runbus.config.errors import ConfigError
from runbus.schemas.avsc import NAMES, schema
from runbus.schemas.evolution import check_all, history
from runbus.schemas.registry import registry

group = typer.Typer(help="The Avro schemas of the log.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="schema")


@group.command("check")
def check(as_json: Json = False) -> None:
    """Check that each schema can read, and be read by, every version released before it."""
    found = check_all()
    if as_json:
        print_json([{"schema": n, "fingerprint": schema(n).fingerprint.hex(), "problems": found[n]} for n in NAMES])
    else:
        rows = [(n, schema(n).fingerprint.hex(), len(history(n)), "; ".join(found[n]) or "compatible") for n in NAMES]
        print_table(("SCHEMA", "FINGERPRINT", "RELEASED", "RESULT"), rows)
    raise typer.Exit(1 if any(found.values()) else 0)


@group.command("push")
def push(context: typer.Context, as_json: Json = False) -> None:
    """Register the schemas with the registry, so that writers find their ids."""
    current = settings(context)
    found = registry(current.sources)
    if found is None:
        raise ConfigError("no registry is set: give SCHEMA_REGISTRY_URL or --schema-registry-url")
    pushed = found.push_all(current.kafka.topic_prefix)
    if as_json:
        print_json([{"topic": topic, "schema": name, "id": schema_id} for topic, name, schema_id in pushed])
    else:
        print_table(("TOPIC", "SCHEMA", "ID"), pushed)
