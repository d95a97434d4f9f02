"""Makes a file or folder appear at its place once it is whole, and never in the place of another one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runbus.export.errors import CannotExport


def check_free(path: Path) -> None:
    """Raise CannotExport if something is there, or if nothing can be made there."""
    if path.exists() or path.is_symlink():
        raise CannotExport(f"{path} is there already: remove it, or name another one with --output")
    if not path.absolute().parent.is_dir():
        raise CannotExport(f"{path.absolute().parent} is no folder: make it, or name another place with --output")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield the place to write to: it becomes `path` at the end of the block, and is removed if the block raises.

    Raises:
        CannotExport: something is at `path`, or nothing can be written there.
    """
    check_free(path)
    try:
        folder = Path(tempfile.mkdtemp(dir=path.absolute().parent, prefix=f".{path.name}."))
    except OSError as error:
        raise CannotExport(f"cannot write {path}: {error.strerror or error}") from error
    try:
        yield folder / path.name
        check_free(path)  # it may have come meanwhile
        (folder / path.name).rename(path)
    except OSError as error:
        raise CannotExport(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
