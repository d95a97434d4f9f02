"""The declarations: each usable, read into the settings of every component, and nothing is read beside them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbus.config.catalogue import PLACES, SETTINGS
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import ConfigError
from runbus.config.loading import load
from runbus.config.options import OPTIONS
from runbus.config.setting import Setting
from runbus.config.sources import Sources, read_sources
from runbus.episodes.policy import FinaliserPolicy
from runbus.kafka.settings import KafkaSettings
from runbus.reader.settings import ReaderSettings
from runbus.recorder.settings import CourierSettings
from runbus.sink.settings import SinkSettings
from runbus.streams.settings import StreamSettings

ROOT = Path(__file__).parents[2]
EVERY: tuple[Setting[object], ...] = (*SETTINGS, *OPTIONS, *PLACES)
#: Files that have to do with the environment as a whole, and why.
WHOLE = {
    "schemas/runbus/config/sources.py": "reads the declared variables",
    "stream_apps/runbus/local/browser.py": "is there a screen",
    "stream_apps/runbus/local/child.py": "RUNBUS_PARENT_PID, between a launcher and its child; adds to it",
    "stream_apps/runbus/local/kafka.py": "hands it on to Kafka's own tool",
    "stream_apps/runbus/local/process.py": "hands it on to a process",
    "stream_apps/runbus/local/supervision.py": "hands it on to supervisord",
    "stream_apps/runbus/local/supervisord.py": "sets RUNBUS_PARENT_PID",
}


@pytest.mark.parametrize("setting", EVERY, ids=lambda s: s.env)
def test_every_default_is_allowed(setting: Setting[object]) -> None:
    """A default passes the setting's own check, and what is allowed is told with the unit."""
    assert Sources().get(setting) == setting.default_value
    assert setting.kind.allowed.find(setting.kind.unit) >= 0


def test_no_variable_is_declared_twice() -> None:
    """Each variable has one declaration, each that has no place in the file is an option or a place."""
    assert len({setting.env for setting in EVERY}) == len(EVERY)
    assert all(setting.option for setting in OPTIONS)
    assert not [setting.env for setting in (*OPTIONS, *PLACES) if setting.path]


def test_every_default_stands_in_its_declaration_only() -> None:
    """Settings that are made without sources are those that are read from none."""
    kafka, clickhouse = KafkaSettings(), ClickHouseSettings()
    assert KafkaSettings.load(Sources()) == kafka
    assert ClickHouseSettings.load(Sources()) == clickhouse
    assert CourierSettings.load(Sources()) == CourierSettings(kafka)
    assert ReaderSettings.load(Sources()) == ReaderSettings(kafka)
    assert SinkSettings.load(Sources()) == SinkSettings(kafka, clickhouse, "runbus.sink")
    assert StreamSettings.load(Sources()) == StreamSettings(kafka)
    assert load(FinaliserPolicy, Sources()) == FinaliserPolicy()


def test_a_bad_value_is_the_same_sentence_wherever_it_comes_from(tmp_path: Path) -> None:
    """Flag, variable and file: the variable, the value and what is allowed."""
    file = tmp_path / "runbus.toml"
    file.write_text("[sink]\nparallel_inserts = 65\n", encoding="utf-8")
    for sources in (
        Sources(flags={"RUNBUS_SINK_PARALLEL_INSERTS": "65"}),
        Sources(environ={"RUNBUS_SINK_PARALLEL_INSERTS": "65"}),
        read_sources(environ={"RUNBUS_CONFIG": str(file)}),
    ):
        with pytest.raises(ConfigError) as caught:
            SinkSettings.load(sources)
        assert str(caught.value) == "RUNBUS_SINK_PARALLEL_INSERTS='65' is not an integer from 1 to 64"


# --- nothing is read beside them ------------------------------------------------------------------------------


def _product() -> Iterator[tuple[str, str]]:
    for folder in ("producers", "stream_apps", "schemas"):
        for source in sorted((ROOT / folder).rglob("*.py")):
            yield str(source.relative_to(ROOT)), source.read_text(encoding="utf-8")


_ENVIRONMENT = {"environ", "environb", "getenv"}


def _reads_environment(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="os"), attr=name):
            return name in _ENVIRONMENT
        case ast.ImportFrom(module="os", names=names):
            return bool({name.name for name in names} & _ENVIRONMENT)
        case ast.keyword(arg="envvar", value=value):
            return not isinstance(value, ast.Attribute)  # `setting.env`
        case _:
            return False


def test_only_the_sources_read_the_environment() -> None:
    """A module that needs a variable declares it; the other files hand the whole environment on."""
    assert {n for n, code in _product() if any(map(_reads_environment, ast.walk(ast.parse(code))))} == set(WHOLE)


def test_every_variable_that_is_named_is_declared() -> None:
    """Sources, chart, compose file and images name no variable of RunBus that is not a setting."""
    known = {s.env for s in EVERY} | {f"{s.env}_FILE" for s in EVERY if s.secret} | {"RUNBUS_PARENT_PID"}
    named = {name for _, code in _product() for name in re.findall(r'"(RUNBUS_[A-Z_]*[A-Z])"', code)}
    assert named <= known
    for source in sorted((ROOT / "deploy").rglob("*")):
        if source.suffix in {".yaml", ".yml", ".tpl", ".json"} or source.name == "Dockerfile":
            given = re.sub(r"\$\{[^}]*\}", "", source.read_text(encoding="utf-8"))  # Compose's own: images and ports
            links = {"RUNBUS_SINK_PORT"}  # of a comment: what Kubernetes would set
            assert set(re.findall(r"\bRUNBUS_[A-Z_]*[A-Z]\b", given)) - links <= known, source
