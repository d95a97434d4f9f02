"""Brings the libraries of the dashboard's page into the repository, as files that a browser loads as they are.

The page has no build: the file in the repository is the file in the browser. `npm pack` fetches the archive of each
pinned version; of it come one or two modules, whose imports by name are rewritten to the file beside them, and the
licence. vendor.lock says which version each file is of and its SHA-256; tests/unit/dashboard/test_page_vendor.py
compares. To take another version, change it in PACKAGES and run `make vendor`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

VENDOR = Path(__file__).parents[1] / "stream_apps" / "runbus" / "dashboard" / "page" / "vendor"
LOCK = "vendor.lock"
LICENSES = "LICENSES.txt"


@dataclass(frozen=True)
class Package:
    """A pinned package of the npm registry, and which of its files become which of ours."""

    version: str
    licence: str
    files: dict[str, str]
    types: dict[str, str] = field(default_factory=dict)  #: file of ours -> the line that gives a type checker its types
    append: str = ""  #: to each module; makes one of a script


PACKAGES = {
    "preact": Package(
        "11.2.0",
        "MIT",
        {"dist/preact.mjs": "preact.js", "hooks/dist/hooks.mjs": "hooks.js"},
        {"preact.js": 'export * from "preact";', "hooks.js": 'export * from "preact/hooks";'},
    ),
    "@preact/signals-core": Package(
        "1.14.5",
        "MIT",
        {"dist/signals-core.mjs": "signals-core.js"},
        {"signals-core.js": 'export * from "@preact/signals-core";'},
    ),
    "@preact/signals": Package(
        "2.11.4", "MIT", {"dist/signals.mjs": "signals.js"}, {"signals.js": 'export * from "@preact/signals";'}
    ),
    "htm": Package("3.1.1", "Apache-2.0", {"dist/htm.mjs": "htm.js"}, {"htm.js": 'export { default } from "htm";'}),
    # its module is not minified and twice as large as its script
    "uplot": Package(
        "1.6.32",
        "MIT",
        {"dist/uPlot.iife.min.js": "uplot.js", "dist/uPlot.min.css": "uplot.css"},
        {"uplot.js": 'export { default } from "uplot";'},
        append="export default uPlot;\n",
    ),
}
#: What a module imports by name -> the file beside it.
BESIDE = {
    "preact": "./preact.js",
    "preact/hooks": "./hooks.js",
    "@preact/signals-core": "./signals-core.js",
}
_IMPORT = re.compile(r"""(\b(?:from|import)\s*)(["'])([^"'./][^"']*)\2""")
_SOURCE_MAP = re.compile(r"//# sourceMappingURL=\S*|/\*# sourceMappingURL=.*?\*/")


class Refused(Exception):
    """Nothing was written; the text says why, and what to do."""


def module(text: str, append: str = "") -> str:
    """Return a library's module as the page can load it: no import by name, no link to a source map."""

    def beside(found: re.Match[str]) -> str:
        if found[3] not in BESIDE:
            raise Refused(f"a module imports {found[3]!r}: say in BESIDE which file that is")
        return f"{found[1]}{found[2]}{BESIDE[found[3]]}{found[2]}"

    text = _SOURCE_MAP.sub("", _IMPORT.sub(beside, text))
    return text.rstrip("\n") + "\n" + append


def sha256(content: bytes) -> str:
    """Return the digest as vendor.lock has it."""
    return hashlib.sha256(content).hexdigest()


def pack(name: str, version: str, folder: Path) -> Path:
    """Fetch the archive of a package by npm; return where it is."""
    npm = shutil.which("npm")
    if npm is None:
        raise Refused("npm is missing: it comes with Node.js 20 or newer")
    command = [npm, "pack", "--json", "--ignore-scripts", f"--pack-destination={folder}", f"{name}@{version}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode != 0:
        raise Refused(f"npm pack {name}@{version} failed:\n{done.stderr}")
    told = json.loads(done.stdout)
    entry = told[0] if isinstance(told, list) else told[name]
    return folder / str(entry["filename"])


def unpacked(name: str, package: Package, archive: Path) -> tuple[dict[str, str], str]:
    """Return what a package gives: our files, by name, and the text of its licence."""
    with tarfile.open(archive) as tar:

        def text(path: str) -> str:
            member = tar.extractfile(f"package/{path}")
            if member is None:
                raise Refused(f"{name}@{package.version} has no {path}")
            return member.read().decode()

        files = {ours: module(text(theirs), _append(package, ours)) for theirs, ours in package.files.items()}
        return files, text("LICENSE").strip()


def _append(package: Package, ours: str) -> str:
    return package.append if ours.endswith(".js") else ""


def declarations(package: Package) -> dict[str, str]:
    """Return the files that tell `tsc` the types of a package's modules."""
    return {ours.removesuffix(".js") + ".d.ts": line + "\n" for ours, line in package.types.items()}


def locked(archives: dict[str, str], files: dict[str, str]) -> str:
    """Return vendor.lock: each package with version and archive digest, each file with its digest."""
    lines = ["# Written by `make vendor`, which says in tools/vendor.py what comes from where.", ""]
    for name, package in PACKAGES.items():
        lines += [
            f'[packages."{name}"]',
            f'version = "{package.version}"',
            f'licence = "{package.licence}"',
            f'archive = "{archives[name]}"',
            "",
        ]
    lines += ["[files]", *(f'"{name}" = "{sha256(text.encode())}"' for name, text in sorted(files.items()))]
    return "\n".join(lines) + "\n"


def same_archive(lock: Path, name: str, version: str, digest: str) -> None:
    """Refuse an archive whose version is locked with another digest: a published version does not change."""
    known = tomllib.loads(lock.read_text())["packages"].get(name) if lock.exists() else None
    if known and known["version"] == version and known["archive"] != digest:
        raise Refused(f"{name}@{version} is not what {lock.name} knows: look at it before you delete that entry")


def vendor(folder: Path = VENDOR) -> list[str]:
    """Write all files of `folder` anew; return their names."""
    files: dict[str, str] = {}
    archives: dict[str, str] = {}
    licences = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, package in PACKAGES.items():
            archive = pack(name, package.version, Path(scratch))
            archives[name] = sha256(archive.read_bytes())
            same_archive(folder / LOCK, name, package.version, archives[name])
            own, licence = unpacked(name, package, archive)
            files |= own | declarations(package)
            licences.append(f"{name} {package.version} ({', '.join(own)})\n\n{licence}\n")
    files[LICENSES] = f"\n{'=' * 80}\n\n".join(licences)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / LOCK).write_text(locked(archives, files))
    return sorted(files)


if __name__ == "__main__":
    try:
        print("\n".join(vendor()))
    except Refused as reason:
        sys.exit(str(reason))
