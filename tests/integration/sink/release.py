"""The release after this one, made of the sources of this: a field more in StepBatch, and the migration for its column.

It changes what docs/schemas.md says that a change of a schema changes, and nothing else: the schema, its history, and a
migration. Processes with `env` run it; this process writes its values.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import StepBatch, encode
from runbus.schemas.codec import CONFLUENT_MARK, SINGLE_OBJECT_MARK
from runbus.schemas.evolution import history
from runbus.schemas.record import read_record, write_record

SOURCES = Path(__file__).parents[3] / "schemas" / "runbus"
FIELD = {"name": "policy_version", "type": "long", "default": 0, "doc": "Version of the policy that chose the actions."}
NOW = schema("StepBatch")


class Release:
    """A copy of the sources in a folder, changed.

    Args:
        folder: of this release alone.
    """

    def __init__(self, folder: Path) -> None:
        self.env = {"PYTHONPATH": str(folder)}
        raw = json.loads(NOW.text)
        text = json.dumps({**raw, "fields": [*raw["fields"], FIELD]})
        self.schema = AvroSchema.from_json(text)
        runbus = folder / "runbus"
        shutil.copytree(SOURCES, runbus, ignore=shutil.ignore_patterns("__pycache__"))
        avro = runbus / "schemas" / "avro"
        for name in ("step_batch.avsc", f"history/StepBatch.{len(history('StepBatch')) + 1}.avsc"):
            (avro / name).write_text(text, encoding="utf-8")
        migrations = runbus / "clickhouse" / "migrations"
        last = max(int(path.name[:4]) for path in migrations.glob("*.sql"))
        self.migration = f"{last + 1:04}_policy_version.sql"
        (migrations / self.migration).write_text(self._sql(migrations), encoding="utf-8")

    def _sql(self, migrations: Path) -> str:
        """Return the migration: the column, the landing, and last the view that connects them; each may run again."""
        view = (migrations / "0003_steps_landing.sql").read_text(encoding="utf-8").partition("TO steps AS")[2]
        for before, after in (
            ("b_kafka_offset AS kafka_offset\n", "b_kafka_offset AS kafka_offset,\n    policy_version\n"),
            ("kafka_offset AS b_kafka_offset,", "kafka_offset AS b_kafka_offset,\n        policy_version,"),
        ):
            assert view.count(before) == 1
            view = view.replace(before, after)
        return (
            "ALTER TABLE steps ADD COLUMN IF NOT EXISTS policy_version Int64;\n"
            "ALTER TABLE steps_landing ADD COLUMN IF NOT EXISTS policy_version Int64;\n"
            f"ALTER TABLE steps_landing_view MODIFY QUERY{view}"
        )

    def run(self, *command: str, env: Mapping[str, str]) -> str:
        """Run a command of this release to its end; return what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "runbus.cli", *command],
            env={**os.environ, **env, **self.env},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def body(self, batch: StepBatch, policy_version: int) -> bytes:
        """Return what a recorder of this release writes of a batch."""
        record = read_record(encode(batch), NOW, NOW)
        return write_record(self.schema, {**record, "policy_version": policy_version})


def framed(writer: AvroSchema, body: bytes, schema_id: int | None = None) -> bytes:
    """Return the value of a body: by the id in a registry, or by fingerprint."""
    if schema_id is None:
        return SINGLE_OBJECT_MARK + writer.fingerprint + body
    return CONFLUENT_MARK + schema_id.to_bytes(4, "big") + body
