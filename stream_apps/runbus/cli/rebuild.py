"""Adds `runbus rebuild clickhouse`, `episodes` and `live-metrics`: derived data computed again, beside the old."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated

import typer

from runbus.cli.context import Settings, settings
from runbus.cli.option import option
from runbus.cli.output import Count, Json, print_json, print_table, say
from runbus.cli.progress import progress
from runbus.config.options import REBUILD_SWAP, REBUILD_TOPIC
from runbus.rebuild.apps import AppRebuild, RebuiltApp
from runbus.rebuild.clickhouse import RebuiltPartition

group = typer.Typer(help="Compute derived data again from the log, beside the old, and compare.", no_args_is_help=True)
_SHOWN = 20

Swap = Annotated[bool, option(REBUILD_SWAP)]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="rebuild")


@group.command("clickhouse")
def clickhouse(
    context: typer.Context,
    topic: Annotated[str, option(REBUILD_TOPIC)] = REBUILD_TOPIC.default_value,
    swap: Swap = REBUILD_SWAP.default_value,
    as_json: Json = False,
) -> None:
    """Store the log again in a second database and compare every row; exit code 1 if some differ and are left."""
    # not above: the other commands of this group do not need them
    from runbus.clickhouse.installation import Installation
    from runbus.clickhouse.tables import STORED_TOPICS
    from runbus.rebuild.clickhouse import RowsRebuild
    from runbus.sink.settings import SinkSettings

    topics = [stored for stored in STORED_TOPICS if topic in ("", stored.topic)]
    if not topics:
        raise typer.BadParameter(f"--topic {topic}: ClickHouse stores {', '.join(s.topic for s in STORED_TOPICS)}")
    current = settings(context)
    sink = SinkSettings.load(current.sources)
    installation = Installation(current.kafka, current.clickhouse, current.codec, sink.group)
    logging.getLogger("runbus.sink.protocol").setLevel(logging.CRITICAL)  # what it refuses is counted in the result
    with progress() as on_progress:
        done = RowsRebuild(installation, topics, sink.limits, swap_different=swap, on_progress=on_progress).run()
    if as_json:
        print_json([partition.as_dict() for partition in done])
    else:
        _print_rows(done)
    raise typer.Exit(0 if all(partition.swapped or not partition.different for partition in done) else 1)


def _print_rows(done: Sequence[RebuiltPartition]) -> None:
    columns = ("PARTITION", "OFFSETS", "REFUSED", "DIFFERENT", "")
    rows = [
        (
            *(str(p.source), f"{p.first}-{p.cut - 1}" if p.cut > p.first else "none"),
            *map(Count, (p.refused, len(p.different))),
            "replaced" if p.swapped else "differs" if p.different else "equal",
        )
        for p in done
    ]
    print_table(columns, rows)
    shown = [(p.source, one) for p in done for one in p.different if not p.swapped]
    if shown:
        say("")
        cells = [(str(at), one.offset, Count(one.old), Count(one.new)) for at, one in shown[:_SHOWN]]
        print_table(("DIFFERENT", "OFFSET", "ROWS", "ROWS AGAIN"), cells)
        if len(shown) > _SHOWN:
            say(f"and {len(shown) - _SHOWN:,} more: --json prints all of them")
        say("nothing was changed; --swap-different takes the new rows over")


@group.command("episodes")
def episodes(context: typer.Context, swap: Swap = REBUILD_SWAP.default_value, as_json: Json = False) -> None:
    """Compute every finalised episode again and compare; exit code 1 if some differ and the app is not reset."""
    from runbus.config.loading import load
    from runbus.episodes.finaliser import EpisodesCore
    from runbus.episodes.policy import FinaliserPolicy
    from runbus.rebuild.episodes import compare_episodes, episodes_said

    current = settings(context)
    policy = load(FinaliserPolicy, current.sources)
    rebuild = AppRebuild(
        current.kafka, current.codec, "episodes", lambda _: EpisodesCore(policy), episodes_said, compare_episodes
    )
    _finish(current, rebuild, swap=swap, as_json=as_json)


@group.command("live-metrics")
def live_metrics(context: typer.Context, swap: Swap = REBUILD_SWAP.default_value, as_json: Json = False) -> None:
    """Compute the totals of every stream again and compare; exit code 1 if some differ and the app is not reset."""
    from runbus.config import catalogue as c
    from runbus.live_metrics.core import LiveMetricsCore
    from runbus.rebuild.live_metrics import compare_live, live_said

    current = settings(context)
    most = current.sources.get(c.LIVE_METRICS_STREAMS)
    rebuild = AppRebuild(
        current.kafka,
        current.codec,
        "live-metrics",
        lambda source: LiveMetricsCore(source, max_streams=most),
        live_said,
        compare_live,
    )
    _finish(current, rebuild, swap=swap, as_json=as_json)


def _finish(current: Settings, rebuild: AppRebuild, *, swap: bool, as_json: bool) -> None:
    """Run a rebuild, reset the app if told so, and print what was found."""
    result = rebuild.run()
    if result.differences and swap:
        from runbus.cursors.own_groups import Names
        from runbus.cursors.reading import CursorReader

        rebuild.reset(result, CursorReader(current.kafka, Names.load(current.sources)))
    if as_json:
        print_json(_document(result))
    else:
        _print_app(result)
    raise typer.Exit(0 if result.reset or not result.differences else 1)


def _document(result: RebuiltApp) -> dict[str, object]:
    return {
        "compared": result.compared,
        "left_out_agents": result.left_out,
        "differences": [{"what": d.what, "name": d.name, "stream": str(d.stream)} for d in result.differences],
        "reset": {str(at): words for at, words in result.reset.items()},
    }


def _print_app(result: RebuiltApp) -> None:
    left = f"; of {result.left_out:,} agents the beginning is not in the log any more" if result.left_out else ""
    say(f"{result.compared:,} results compared, {len(result.differences):,} differ{left}")
    if result.differences:
        rows = [(d.what, str(d.stream), d.name) for d in result.differences[:_SHOWN]]
        print_table(("RESULT", "STREAM", "NAME"), rows)
        if len(result.differences) > _SHOWN:
            say(f"and {len(result.differences) - _SHOWN:,} more: --json prints all of them")
        if not result.reset:
            say(
                "nothing was changed; --swap-different resets the app, once it is stopped, so that it computes all anew"
            )
    for at, words in result.reset.items():
        say(f"{at}: reset to the beginning{f', {words}' if words else ''}")
    if result.reset:
        say("start the app: it computes everything anew")
