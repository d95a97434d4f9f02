"""Creates directories and private files of the local stack; each is proven usable before its first use."""

import errno
import shutil
import tempfile
from pathlib import Path

from runbus.config.errors import RunBusError

MINIMUM_FREE = 200 << 20  # bytes: a broker's first segments and the engine's first parts, and what a clean stop writes

_NOTHING_LEFT = 4 << 20  # bytes: less than a segment of the log or a part of a table may ask for


def writable_directory(path: Path, setting: str) -> Path:
    """Create `path` and prove that files can be written there; `setting` is what the user can change.

    Raises RunBusError naming the directory and the setting.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as proof:
            proof.write(b"x")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            text = f"no space is left at {path}. Free some or set {setting} to another disk."
            raise RunBusError(text) from error
        reason = error.strerror or str(error)
        raise RunBusError(f"cannot write to {path}: {reason}. Make it writable or set {setting}.") from error
    return path


def enough_space(path: Path, setting: str, minimum: int = MINIMUM_FREE) -> None:
    """Raise RunBusError if fewer than `minimum` bytes are free where `path` is."""
    free = shutil.disk_usage(path).free
    if free < minimum:
        raise RunBusError(
            f"only {free >> 20} MB are free at {path}; the local stack needs {minimum >> 20} MB. "
            f"Free some space or set {setting} to another disk."
        )


def is_full(path: Path) -> bool:
    """Return whether the disk of `path` is full, or nearly."""
    return shutil.disk_usage(path).free < _NOTHING_LEFT


def save_private(path: Path, text: str) -> None:
    """Replace a file at once, readable and writable by its owner only from its first byte on."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(text, encoding="utf-8")
    part.replace(path)
