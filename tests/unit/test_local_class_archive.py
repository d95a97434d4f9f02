"""The archive of a JVM's classes: made once, complete or not at all, and another one for another build."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runbus.local.class_archive import ClassArchive


@pytest.fixture
def archive(tmp_path: Path) -> ClassArchive:
    """Return that of a Java and a jar, in an empty cache."""
    (tmp_path / "java").write_text("java")
    (tmp_path / "a.jar").write_text("jar")
    return ClassArchive.of(tmp_path / "java", [tmp_path / "a.jar"], tmp_path / "cache")


def write(options: tuple[str, ...], text: str = "classes") -> None:
    """Do what a JVM with these options does when it ends."""
    name, _, path = options[0].partition("=")
    assert name == "-XX:ArchiveClassesAtExit"
    Path(path).write_text(text)


def fail(options: tuple[str, ...]) -> None:
    """Do what a JVM does that ends with an error in the middle of it."""
    write(options, "cla")
    raise ValueError("no space")


def test_it_is_made_once_and_used_afterwards(archive: ClassArchive) -> None:
    """Without it no option is given; the JVM that makes it is the only one."""
    assert not archive.using
    with archive.made() as options:
        write(options)
    assert archive.path.read_text() == "classes"
    assert archive.using == (f"-XX:SharedArchiveFile={archive.path}",)
    with archive.made() as options:
        assert options == ()


def test_a_jvm_that_fails_or_makes_none_leaves_nothing(archive: ClassArchive) -> None:
    """What it wrote until then is removed, and the next one tries again."""
    with pytest.raises(ValueError, match="no space"), archive.made() as options:
        fail(options)
    with archive.made() as options:
        assert options
    assert list(archive.path.parent.iterdir()) == []


def test_two_jvms_at_once_do_not_meet(archive: ClassArchive) -> None:
    """Each writes a file of its own; the last to end wins."""
    with archive.made() as first, archive.made() as second:
        write(first, "first")
        write(second, "second")
    assert archive.path.read_text() == "first"
    assert list(archive.path.parent.iterdir()) == [archive.path]


def test_another_jar_or_java_has_another_archive(archive: ClassArchive, tmp_path: Path) -> None:
    """A file that was replaced is another build; the same files have the same archive."""
    java, jar, cache = tmp_path / "java", tmp_path / "a.jar", tmp_path / "cache"
    assert ClassArchive.of(java, [jar], cache) == archive
    jar.write_text("another")
    other = ClassArchive.of(java, [jar], cache)
    java.write_text("another")
    assert len({archive, other, ClassArchive.of(java, [jar], cache)}) == 3


def test_a_cache_that_cannot_be_written_is_done_without(archive: ClassArchive) -> None:
    """No option is given."""
    archive.path.parent.parent.write_text("no folder")
    with archive.made() as options:
        assert options == ()
    assert archive.using == ()


def test_what_a_killed_jvm_left_is_removed_later(archive: ClassArchive) -> None:
    """An hour later: a younger file may belong to a JVM that still writes."""
    with archive.made():
        pass
    old, young = (archive.path.parent / f"{name}.part" for name in ("old", "young"))
    for part in (old, young):
        part.write_text("cla")
    os.utime(old, (1, 1))
    with archive.made():
        assert (old.exists(), young.exists()) == (False, True)
