"""Finds the stream app of a user by `MODULE:APP`, and makes it a process like ours."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from runbus.config.errors import ConfigError, RunBusError
from runbus.config.sources import Sources
from runbus.schemas.registry import codec
from runbus.service.component import ProcessSpec
from runbus.streams.api import StreamApp
from runbus.streams.component import stream_process
from runbus.streams.settings import StreamSettings


def user_process(place: str) -> Callable[[Sources], ProcessSpec]:
    """Return what makes the process of an app from the settings; the app is imported then. It raises as `load_app`."""

    def process(sources: Sources) -> ProcessSpec:
        settings, values = StreamSettings.load(sources), codec(sources)
        return stream_process(load_app(place), settings, values)

    return process


def load_app(place: str) -> StreamApp:
    """Return the app that `MODULE:APP` names; modules of the current folder come first.

    Raises:
        ConfigError: it is no such text, or there is no such module, or no app of that name in it.
        RunBusError: the module needs one that is not there.
    """
    module_name, _, name = place.partition(":")
    if not (name.isidentifier() and all(part.isidentifier() for part in module_name.split("."))):
        raise ConfigError(f"{place!r} is not MODULE:APP: give for example my_lab.success_rate:app")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise ConfigError(
                f"there is no module {missing}: install it beside RunBus, or start in the folder that has it ({folder})"
            ) from error
        raise RunBusError(f"module {module_name} needs the module {missing}: install it") from error
    found = getattr(module, name, None)
    if not isinstance(found, StreamApp):
        there = [known for known, value in vars(module).items() if isinstance(value, StreamApp)]
        hint = f"it has {', '.join(there)}" if there else "make one with runbus.streams.api.stream_app"
        raise ConfigError(f"module {module_name} has no stream app called {name}: {hint}")
    return found
