"""Commands whose reader leaves: `runbus ... | head`."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

_MUCH = """
from runbus.cli import main, output
from typer import Typer
app = main.app = Typer()
@app.command()
def much() -> None:
    {body}
main.run()
"""


@pytest.mark.parametrize(
    "body",
    [
        "[output.say('x' * 1000) for _ in range(1000)]",
        "output.print_json(['x' * 1000] * 1000)",
        "output.print_json({})",
        "output.print_table(('A',), [('x',)] * 10000)",
        "[output.write_bytes(b'x' * 100000) for _ in range(100)]",
    ],
)
def test_a_reader_that_leaves_ends_the_command_quietly(body: str) -> None:
    """Exit code 0 and nothing on standard error, as of other tools, whether the text was long or short."""
    with subprocess.Popen(
        [sys.executable, "-c", _MUCH.format(body=body)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        errors = child.stderr.read()
    assert (child.returncode, errors) == (0, b"")
