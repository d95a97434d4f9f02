"""Adapts the migrations to a cluster: the same files, with replicated tables, on every server.

One shard: each server has all rows. The path in Keeper and the name of the replica are the server's own
(`default_replica_path`, `default_replica_name`, the macros `shard` and `replica`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_CREATE = re.compile(r"^(CREATE (?:TABLE|VIEW|MATERIALIZED VIEW) IF NOT EXISTS \w+)", re.MULTILINE)
_ENGINE = re.compile(r"^ENGINE = (\w*MergeTree)\b", re.MULTILINE)


def replicated(sql: str, cluster: str) -> str:
    """Return a migration whose statements run on every server of `cluster`, its tables replicated between them."""
    return _ENGINE.sub(r"ENGINE = Replicated\1", _CREATE.sub(rf"\1 ON CLUSTER `{cluster}`", sql))


@contextmanager
def migrations(folder: Path, cluster: str) -> Iterator[Path]:
    """Yield the folder of the migrations, adapted to a cluster if it is named ("" = none)."""
    if not cluster:
        yield folder
        return
    with TemporaryDirectory(prefix="runbus-migrations-") as name:
        for file in folder.glob("*.sql"):
            (Path(name) / file.name).write_text(replicated(file.read_text(encoding="utf-8"), cluster), encoding="utf-8")
        yield Path(name)
