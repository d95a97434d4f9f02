"""Lists what can be read: a name, and where its reader is. It is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, cast

from runbus.config.errors import RunBusError
from runbus.ingest.acts import Act, Defaults, Dialect

#: Makes the acts of a whole file or folder. Raises RunBusError.
ReadFile = Callable[[Path, Defaults], Iterable[Act]]


class Format(NamedTuple):
    """One format.

    Attributes:
        module: of `runbus.ingest`.
        name: of a Dialect's class, or of a function ReadFile.
        lines: it is lines of JSON: a file, a pipe or what a worker prints.
        of: what it is, in a few words.
    """

    module: str
    name: str
    lines: bool
    of: str


FORMATS: dict[str, Format] = {
    "mosaic": Format("dialects.mosaic", "Mosaic", True, "what MOSAIC's workers print and write"),
    "verifiers": Format("dialects.verifiers", "Verifiers", True, "traces.jsonl of verifiers and prime-rl"),
    "verl": Format("dialects.verl", "Verl", True, "rollout_data_dir/*.jsonl of verl"),
    "nemo-gym": Format("dialects.nemo_gym", "NemoGym", True, "rollouts.jsonl of NeMo Gym"),
    "openenv": Format("dialects.openenv", "OpenEnv", True, "results.jsonl of OpenEnv"),
    "inspect": Format("files.inspect_log", "inspect_log", False, "logs of Inspect, .eval and .json"),
    "minari": Format("files.minari_dataset", "minari_dataset", False, "a folder of Minari"),
    "parquet": Format("files.parquet", "parquet_file", False, "what runbus export wrote"),
}


class CannotIngest(RunBusError):
    """A file, or this machine, is not fit for what was asked."""


def dialect(name: str, defaults: Defaults) -> Dialect:
    """Return a new reader of lines."""
    return cast("Dialect", _found(name)(defaults))


def acts_of_file(name: str, path: Path, defaults: Defaults) -> Iterable[Act]:
    """Return the acts of a file or folder. Raises CannotIngest, also while they are gone through."""
    read = cast("ReadFile", _found(name))
    return read(path, defaults)


def _found(name: str) -> Callable[..., object]:
    one = FORMATS[name]
    try:
        return cast("Callable[..., object]", getattr(import_module(f"runbus.ingest.{one.module}"), one.name))
    except ImportError as error:
        raise CannotIngest(f"{name} needs a library: pip install 'runbus[export]' ({error})") from error
