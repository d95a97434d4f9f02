"""Coverage-guided fuzzing by atheris: `make fuzz SECONDS=60`, or one target for as long as you like.

    python -m tests.fuzz.run --seconds 600 batch

What it finds is written to `crash-...` in the folder `.fuzz`; `python -m tests.fuzz.run batch .fuzz/batch/crash-...`
shows it again. The inputs that reached something new stay in `.fuzz` and are where the next run begins.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"
WORDS = Path(__file__).parent / "words.dict"
FOUND = Path(".fuzz")
# One target at most allocates this for an input of 64 KiB; a single allocation of more is a finding too.
_MEMORY_MB, _ONE_MB = 1024, 64
_MAX_BYTES = 65_536


def main(arguments: list[str]) -> int:
    """Fuzz some targets, one after the other, each in a process of its own; 1 = something was found."""
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("target", nargs="?", choices=sorted(TARGETS), help="one target; all without it")
    parser.add_argument("input", nargs="*", type=Path, help="inputs to run once instead of fuzzing")
    options = parser.parse_args(arguments)
    targets = [options.target] if options.target else list(TARGETS)
    results = [_fuzz(target, options.seconds // len(targets), options.input) for target in targets]
    print("".join(f"{target}: {'found something' if failed else 'nothing found'}\n" for target, failed in results))
    return int(any(failed for _, failed in results))


def _fuzz(target: str, seconds: int, inputs: list[Path]) -> tuple[str, bool]:
    kept = FOUND / target
    kept.mkdir(parents=True, exist_ok=True)
    what = [str(path) for path in inputs] or [
        *(f"-max_total_time={seconds}", f"-max_len={_MAX_BYTES}", f"-artifact_prefix={kept}/", "-print_final_stats=1"),
        *(f"-rss_limit_mb={_MEMORY_MB}", f"-malloc_limit_mb={_ONE_MB}", "-timeout=10", str(kept)),
        *(f"-dict={WORDS}", str(SEEDS / target)),
    ]
    process = [sys.executable, "-m", "tests.fuzz.atheris_process", target, *what]
    return target, subprocess.run(process, check=False).returncode != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
