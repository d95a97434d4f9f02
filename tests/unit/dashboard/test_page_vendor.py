"""What the page borrows: pinned, unchanged, and loadable by a browser as it is."""

import re
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

from tools import vendor

LOCK = tomllib.loads((vendor.VENDOR / vendor.LOCK).read_text())
MODULES = sorted(vendor.VENDOR.glob("*.js"))


def test_each_file_is_what_the_lock_says() -> None:
    """A vendored file that was edited by hand, lost or added is named."""
    found = {
        path.name: vendor.sha256(path.read_bytes()) for path in vendor.VENDOR.iterdir() if path.name != vendor.LOCK
    }
    assert found == LOCK["files"]


def test_the_lock_has_the_versions_that_make_vendor_would_take() -> None:
    """Changing a version in tools/vendor.py without running `make vendor` fails here."""
    pinned = {name: (package.version, package.licence) for name, package in vendor.PACKAGES.items()}
    assert {name: (entry["version"], entry["licence"]) for name, entry in LOCK["packages"].items()} == pinned


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_imports_only_the_files_beside_it(path: Path) -> None:
    """No import map is needed, and no file is asked for that is not there."""
    imported = re.findall(r"""\b(?:from|import)\s*["']([^"']+)["']""", path.read_text())
    assert all(name.startswith("./") and (vendor.VENDOR / name).is_file() for name in imported)
    assert "sourceMappingURL" not in path.read_text()


def test_a_module_is_rewritten_and_loses_its_source_map() -> None:
    """Every form of import that the minifiers write is found; text that only looks like one stays."""
    given = (
        'import{h as n}from"preact";import"preact/hooks";export*from"@preact/signals-core";'
        'x="from"//# sourceMappingURL=a.mjs.map'
    )
    assert vendor.module(given, "export default x;\n") == (
        'import{h as n}from"./preact.js";import"./hooks.js";export*from"./signals-core.js";'
        'x="from"\nexport default x;\n'
    )


def test_an_import_that_nobody_placed_is_refused() -> None:
    """A new version that needs another package says so instead of failing in the browser."""
    with pytest.raises(vendor.Refused, match="'left-pad'"):
        vendor.module('import p from "left-pad";')


def test_a_version_whose_archive_changed_is_refused(tmp_path: Path) -> None:
    """The registry cannot give other bytes for a version that is locked."""
    lock = tmp_path / vendor.LOCK
    lock.write_text(vendor.locked(dict.fromkeys(vendor.PACKAGES, "0" * 64), {}))
    version = vendor.PACKAGES["htm"].version
    vendor.same_archive(lock, "htm", version, "0" * 64)
    vendor.same_archive(lock, "htm", "3.2.0", "1" * 64)
    with pytest.raises(vendor.Refused, match="htm@"):
        vendor.same_archive(lock, "htm", version, "1" * 64)


def test_the_wheel_has_the_page(tmp_path: Path) -> None:
    """`pip install` brings every file that a browser asks for, and needs no node."""
    root = vendor.VENDOR.parents[4]
    wheel = next(iter(WheelBuilder(str(root)).build(directory=str(tmp_path), versions=["standard"])))
    names = set(ZipFile(wheel).namelist())
    page = vendor.VENDOR.parent
    wanted = {path for path in page.rglob("*") if path.is_file() and not path.name.endswith(".d.ts")}
    assert {path.relative_to(root / "stream_apps").as_posix() for path in wanted} <= names
    assert not [name for name in names if name.endswith(".d.ts")]
