"""References to files: where they are, their size and hash, as the tools of the machine say it."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from runbus.config.errors import InvalidValue
from runbus.recorder import file_reference
from runbus.recorder.file_reference import FileReference, hashed, located


@pytest.mark.parametrize(
    "uri", ["s3://bucket/a b.pt", "https://host/x?y=1", "hf://models/me", "file://other/x.pt", "C+d.e-f://x"]
)
def test_what_is_elsewhere_stays_as_it_was_given(uri: str) -> None:
    """It cannot be hashed here."""
    assert located(uri) == (FileReference(uri), None)


def test_a_path_becomes_a_uri_that_says_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative ones, odd characters, those that are a URI already; a colon makes none."""
    monkeypatch.chdir(tmp_path)
    odd = tmp_path / "größe 1%:2.pt"
    for given in (odd.name, odd, f"./{odd.name}", odd.as_uri()):
        found, path = located(given)
        assert (found.uri, path) == (odd.as_uri(), odd)


def test_a_file_is_hashed_as_sha256sum_does(tmp_path: Path) -> None:
    """Of any size, also nothing and more than one piece."""
    for size in (0, 1, file_reference._PIECE, file_reference._PIECE + 1):
        file = tmp_path / str(size)
        file.write_bytes(os.urandom(size))
        found = hashed(*_there(file))
        assert (found.bytes, found.sha256) == (size, hashlib.sha256(file.read_bytes()).hexdigest())


def test_a_folder_is_hashed_as_the_page_says(tmp_path: Path) -> None:
    """The hash of what sha256sum says of its files; another order of writing is the same folder."""
    for name in ("b.bin", "a/z.json", "a/ä.json", "a-b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    command = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    said = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    found = hashed(*_there(tmp_path))
    assert (found.sha256, found.bytes) == (said.split()[0], sum(map(len, (b"b.bin", b"a/z.json", b"a-b"))) + 9)


def test_what_cannot_be_hashed_is_an_error(tmp_path: Path) -> None:
    """No file; one that has not the size that the disk says, as one that somebody writes meanwhile."""
    with pytest.raises(FileNotFoundError):
        hashed(*_there(tmp_path / "none"))
    with pytest.raises(InvalidValue, match="changed while it was read"):
        hashed(*_there(Path("/proc/self/status")))


def _there(file: Path) -> tuple[FileReference, Path]:
    found, path = located(file)
    assert path is not None
    return found, path
