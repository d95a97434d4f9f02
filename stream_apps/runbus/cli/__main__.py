"""Runs the `runbus` command: `python -m runbus.cli`."""

from runbus.cli.main import run

if __name__ == "__main__":
    run()
