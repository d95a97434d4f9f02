"""`python -m runbus.cli`: the same as `runbus`."""

from runbus.cli.main import run

if __name__ == "__main__":
    run()
