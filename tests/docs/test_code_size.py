"""No function over 60 lines, no module over 400: what has grown past that wants another room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("producers", "schemas", "stream_apps", "tests", "benchmarks", "examples")


def _modules() -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def test_no_module_is_over_400_lines() -> None:
    """A module can be read in one sitting."""
    assert not {name: text.count("\n") for name, text in _modules() if text.count("\n") > 400}


def test_no_function_is_over_60_lines() -> None:
    """A function fits on a screen."""
    long = {}
    for name, text in _modules():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > 60:
                    long[f"{name}:{node.name}"] = lines
    assert not long
