"""The pages of the wire format and the settings: their snippets run, their tables are those of the code."""

import re
from pathlib import Path

import pytest

from runbus.config.catalogue import CACHE_ENV, CONFIG_FILE_ENV, HOME_ENV, PLACES, SETTINGS
from runbus.config.document import TABLES, renewed
from runbus.config.document import main as renew_settings
from runbus.config.errors import RunBusError
from runbus.config.options import OPTIONS
from runbus.config.sources import read_sources
from runbus.schemas import layout
from runbus.schemas.avsc import schema
from runbus.schemas.document import PAGES
from runbus.schemas.document import main as renew_schemas

DOCS = Path(__file__).parents[2] / "docs"
RENEW = "run: python -m runbus.config.document docs/configuration.md; python -m runbus.schemas.document docs"


def _page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _snippets(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", _page(name), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ["dashboard.md", "schemas.md", "streams.md", "topics.md"])
def test_every_python_snippet_of_the_pages_runs(name: str) -> None:
    """A snippet of a page runs as it stands, asserts included."""
    found = _snippets(name, "python")
    assert found
    for number, code in enumerate(found):
        exec(compile(code, f"{name}, snippet {number}", "exec"), {"__name__": "snippet"})


@pytest.mark.parametrize("block", TABLES)
def test_the_tables_of_settings_are_the_declarations(block: str) -> None:
    """The page has every setting, option and place, as it is declared now."""
    text = _page("configuration.md")
    assert renewed(text, block, TABLES[block]()) == text, RENEW
    assert all(f"| `{setting.env}`" in text for setting in (*SETTINGS, *OPTIONS, *PLACES))
    assert all(name in text for name in (CONFIG_FILE_ENV, HOME_ENV, CACHE_ENV))


@pytest.mark.parametrize("name", PAGES)
def test_the_other_tables_are_those_of_the_code(name: str) -> None:
    """Topics, fingerprints and StepBatch fields in the pages are what the code says."""
    text = _page(name)
    for block, make in PAGES[name].items():
        assert renewed(text, block, make()) == text, RENEW


def test_the_example_file_is_accepted(tmp_path: Path) -> None:
    """The runbus.toml in the page has known sections and keys only."""
    file = tmp_path / "runbus.toml"
    file.write_text(_snippets("configuration.md", "toml")[0], encoding="utf-8")
    assert read_sources(environ={CONFIG_FILE_ENV: str(file)}).file["kafka"]["sasl_username"] == "runbus"


def test_the_page_names_every_kind_of_layout() -> None:
    """Each word that a dtype can be stands in docs/schemas.md."""
    text = _page("schemas.md")
    for word in (layout.TEXT, layout.JSON, layout.STRUCT, layout.OMITTED):
        assert f"`{word}`" in text
    assert all(field["name"] in text for field in schema("StepBatch").fields)


def test_renewing_changes_nothing_that_is_up_to_date(tmp_path: Path) -> None:
    """The two commands that renew the tables leave the committed pages as they are."""
    for name in ("configuration.md", *PAGES):
        (tmp_path / name).write_text(_page(name), encoding="utf-8")
    renew_settings([str(tmp_path / "configuration.md")])
    renew_schemas([str(tmp_path)])
    for name in ("configuration.md", *PAGES):
        assert (tmp_path / name).read_text(encoding="utf-8") == _page(name)


def test_a_page_without_the_place_is_an_error() -> None:
    """A page that lost its markers is not silently left stale."""
    with pytest.raises(RunBusError, match="no place for settings"):
        renewed("# page\n", "settings", "table\n")
