"""docs/metrics.md: its table is the catalogue, and its example is an address."""

from pathlib import Path

from runbus.config.document import renewed
from runbus.probes.address import probes_address
from runbus.probes.catalogue import METRICS
from runbus.probes.document import main, metrics_table

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_metrics_table_is_the_catalogue() -> None:
    """The page has every metric of the catalogue, as it is now."""
    text = PAGE.read_text(encoding="utf-8")
    assert renewed(text, "metrics", metrics_table()) == text, "run: python -m runbus.probes.document docs/metrics.md"
    assert all(f"`{metric.name}`" in text for metric in METRICS)


def test_renewing_changes_nothing_that_is_up_to_date(tmp_path: Path) -> None:
    """The command that renews the table leaves the committed page as it is."""
    copy = tmp_path / "metrics.md"
    copy.write_bytes(PAGE.read_bytes())
    main([str(copy)])
    assert copy.read_bytes() == PAGE.read_bytes()


def test_the_example_address_is_accepted() -> None:
    """What the page says to set can be set."""
    assert "`127.0.0.1:9464`" in PAGE.read_text(encoding="utf-8")
    assert probes_address("127.0.0.1:9464") == ("127.0.0.1", 9464)
