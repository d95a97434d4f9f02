"""Scripts that were written for TensorBoard and W&B, with one import changed: their curves come by SQL."""

from __future__ import annotations

import re
import uuid
from functools import partial
from pathlib import Path

import pytest

from tests.integration.sink.conftest import feed, migrated, sinks, tables
from tests.integration.sink.sink_processes import Feed, Sinks, Tables
from tests.support.scripts import user_scripts
from tests.support.waiting import until

pytestmark = pytest.mark.integration
__all__ = ["feed", "migrated", "sinks", "tables"]

DOCS = Path(__file__).parents[3] / "docs"
#: page -> rows that its query finds, once its snippets have run
PAGES = {(DOCS / name).read_text(encoding="utf-8"): rows for name, rows in (("shims.md", 110), ("artifacts.md", 3))}
IMPORTS = {
    "from torch.utils.tensorboard import SummaryWriter": "from runbus.shims.tensorboard import SummaryWriter",
    "import wandb": "import runbus.shims.wandb as wandb",
}
TENSORBOARD = """
    import sys
    from torch.utils.tensorboard import SummaryWriter

    weight, run_name = 0.0, sys.argv[1]
    writer = SummaryWriter(f"runs/{run_name}")
    writer.add_text("hyperparameters", "|param|value|\\n|-|-|\\n|lr|0.1|")
    for global_step in range(0, 5000, 10):
        loss = (weight - 3.0) ** 2
        weight -= 0.1 * 2 * (weight - 3.0)
        writer.add_scalar("losses/loss", loss, global_step)
        writer.add_scalar("charts/weight", weight, global_step)
    writer.close()
"""
WANDB = """
    import sys
    import wandb

    wandb.init(project="line", name=sys.argv[1], config={"lr": 0.1}, save_code=True)
    wandb.define_metric("eval/*", step_metric="eval/seen")
    weight = 0.0
    for epoch in range(500):
        loss = (weight - 3.0) ** 2
        weight -= wandb.config.lr * 2 * (weight - 3.0)
        wandb.log({"loss": loss, "weight": weight})
        if epoch % 100 == 99:
            wandb.log({"eval/loss": loss, "eval/seen": 64 * epoch}, step=epoch)
    wandb.finish()
"""
CURVE = """
    SELECT at, value FROM metrics
    WHERE run_id = {run:String} AND name = {name:String} AND axis = {axis:String} ORDER BY at
"""


def expected() -> list[tuple[float, float]]:
    """Return loss and weight as the scripts compute them."""
    found, weight = [], 0.0
    for _ in range(500):
        loss = (weight - 3.0) ** 2
        weight -= 0.1 * 2 * (weight - 3.0)
        found.append((loss, weight))
    return found


def test_a_script_with_one_import_changed_has_its_curves_in_sql(
    feed: Feed, sinks: Sinks, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Value by value; and what the pages say runs as it stands."""
    monkeypatch.chdir(tmp_path)
    board, biases = (f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("board", "biases"))
    snippets = [code for page in PAGES for code in blocks(page, "python")]
    sinks.start()
    with user_scripts() as run_script:
        started = [
            run_script(feed.settings, changed(TENSORBOARD), board),
            run_script(feed.settings, changed(WANDB), biases),
            *(run_script(feed.settings, snippet) for snippet in snippets),
        ]
        for process in started:
            said = process.communicate(timeout=60)
            assert (process.returncode, *said) == (0, "", "")

    def curve(run: str, name: str, axis: str = "global_step") -> list[tuple[int, float]]:
        rows = tables.client.query(CURVE, parameters={"run": run, "name": name, "axis": axis}).result_rows
        return [(at, value) for at, value in rows]

    until("all is stored", lambda: len(curve(board, "charts/weight")) == len(curve(biases, "weight")) == 500)
    losses, weights = zip(*expected(), strict=True)
    steps = range(0, 5000, 10)
    assert curve(board, "losses/loss") == [*zip(steps, losses, strict=True)]
    assert curve(board, "charts/weight") == [*zip(steps, weights, strict=True)]
    assert curve(biases, "loss") == [*zip(range(500), losses, strict=True)]
    assert curve(biases, "eval/loss", "eval/seen") == [(64 * n, losses[n]) for n in range(99, 500, 100)]
    config = "SELECT any(JSONExtractFloat(config, 'lr')), any(outcome) FROM stream_summary WHERE run_id = {run:String}"
    until("the end is stored", lambda: tables.one(config.replace("any(J", "count(J"), run=biases) == 1)
    assert tables.client.query(config, parameters={"run": biases}).result_rows == [(0.1, "completed")]
    text = "SELECT text FROM metrics WHERE run_id = {run:String} AND name = 'hyperparameters'"
    assert str(tables.one(text, run=board)).startswith("|param|value|\n")

    for page, rows in PAGES.items():
        (sql,) = blocks(page, "sql")
        until("the page's run is stored", partial(found, tables, sql, rows))


def found(tables: Tables, sql: str, rows: int) -> bool:
    """Return whether a query finds so many rows."""
    return len(tables.client.query(sql).result_rows) == rows


def blocks(page: str, language: str) -> list[str]:
    """Return the code of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def changed(script: str) -> str:
    """Return a script with its import changed, and nothing else."""
    (line,) = [line for line in IMPORTS if re.search(rf"^ *{line}$", script, re.MULTILINE)]
    return script.replace(line, IMPORTS[line])
