"""Runs the process of docs/processes.md, as the page has it: `python -m tests.integration.service.toy`.

TOY_CREDENTIALS names a file that counts as its credentials.
"""

from __future__ import annotations

import os
import re
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

from runbus.config.sources import Sources
from runbus.service import catalogue, entry
from runbus.service.catalogue import ProcessEntry
from runbus.service.component import ProcessSpec

PAGE = Path(__file__).parents[3] / "docs" / "processes.md"


def blocks() -> list[str]:
    """Return the Python of the page."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def install() -> ProcessEntry:
    """Put the page's module and its entry where they belong; return the entry."""
    module, made = blocks()
    added: ProcessEntry = eval(made, {"ProcessEntry": ProcessEntry})
    name, _, factory = added.factory.partition(":")
    there: Any = types.ModuleType(name)
    sys.modules[name.rpartition(".")[0]], sys.modules[name] = types.ModuleType("room"), there
    exec(compile(module, str(PAGE), "exec"), there.__dict__)
    original = getattr(there, factory)

    def with_credentials(sources: Sources) -> ProcessSpec:
        spec: ProcessSpec = original(sources)
        named = os.environ.get("TOY_CREDENTIALS")
        return replace(spec, credential_files=(Path(named),)) if named else spec

    setattr(there, factory, with_credentials)
    catalogue.PROCESSES += (added,)
    return added


if __name__ == "__main__":
    sys.exit(entry.main(install().kind))
