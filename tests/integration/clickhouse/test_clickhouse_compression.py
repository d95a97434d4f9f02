"""New parts are quick to write, old ones small: docs/decisions/0007."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.integration.clickhouse.conftest import Batch, Store

pytestmark = pytest.mark.integration
DAY_US = 24 * 60 * 60 * 1_000_000


@pytest.mark.parametrize(("days", "codec"), [(0, "LZ4"), (60, "ZSTD(3)")])
def test_the_age_of_its_steps_decides_how_a_merged_part_is_compressed(
    store: Store, run_id: str, batch: Batch, days: int, codec: str
) -> None:
    """Steps of today stay LZ4; once they are a week old, the next merge writes them as ZSTD."""
    now = time.time_ns() // 1000 - days * DAY_US
    store.insert_steps([batch(ts=np.full(3, now, "<i8").tobytes())])
    (partition,) = store.rows("SELECT DISTINCT _partition_id FROM steps WHERE run_id = {r:String}", r=run_id)
    store.client.command(f"OPTIMIZE TABLE steps PARTITION ID '{partition[0]}' FINAL")
    codecs = store.rows(
        "SELECT default_compression_codec FROM system.parts WHERE active AND database = currentDatabase() "
        "AND table = 'steps' AND name IN (SELECT DISTINCT _part FROM steps WHERE run_id = {r:String})",
        r=run_id,
    )
    assert codecs == [(codec,)]
    assert store.one("SELECT count() FROM steps WHERE run_id = {r:String}", r=run_id) == 3
