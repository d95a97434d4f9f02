"""Where a setting comes from: flag > environment > file > default; and what is wrong is said by name."""

import re
import sys
from pathlib import Path

import platformdirs
import pytest

from runbus.config import catalogue as c
from runbus.config.catalogue import CACHE_ENV, CONFIG_FILE_ENV, HOME_ENV, PLACES, SETTINGS
from runbus.config.errors import ConfigError
from runbus.config.setting import Setting
from runbus.config.sources import Sources, cache, home, read_sources

SECRET = "hunter2"


def _file(folder: Path, text: str, name: str = "runbus.toml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in a folder without a runbus.toml, and with an empty home."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv(HOME_ENV, str(tmp_path / "home"))


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    """Each source wins over the next one, and says where the value was found."""
    file = _file(tmp_path, '[clickhouse]\nuser = "of-file"\n')
    environ = {CONFIG_FILE_ENV: str(file)}
    given = [
        ({c.CLICKHOUSE_USER.env: "of-flag"}, {**environ, "CLICKHOUSE_USER": "of-env"}, "of-flag", "flag"),
        ({}, {**environ, "CLICKHOUSE_USER": "of-env"}, "of-env", "CLICKHOUSE_USER"),
        ({}, environ, "of-file", str(file)),
        ({}, {HOME_ENV: str(tmp_path / "home")}, "default", "default"),
    ]
    for flags, env, text, origin in given:
        value = read_sources(flags, env).find(c.CLICKHOUSE_USER)
        assert (value.text, value.origin) == (text, origin)


def test_an_empty_variable_counts_as_not_set_and_an_empty_flag_as_given() -> None:
    """Compose files set empty variables; a flag is empty only on purpose."""
    assert read_sources(environ={"CLICKHOUSE_USER": ""}).text(c.CLICKHOUSE_USER) == "default"
    assert read_sources({"CLICKHOUSE_USER": ""}, {}).text(c.CLICKHOUSE_USER) == ""


def test_every_setting_has_a_value() -> None:
    """`all` returns the catalogue, in its order."""
    assert [value.setting for value in Sources().all()] == list(SETTINGS)
    assert all(value.origin == "default" for value in Sources().all())


def test_the_catalogue_has_no_two_of_a_kind() -> None:
    """Each variable and each place in the file belongs to one setting, and each one is explained."""
    assert len({s.env for s in SETTINGS}) == len({s.path for s in SETTINGS}) == len(SETTINGS)
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", s.env) and s.doc.endswith(".") for s in SETTINGS)
    defined = {id(value) for value in vars(c).values() if isinstance(value, Setting)}
    assert {id(setting) for setting in (*SETTINGS, *PLACES)} == defined


# --- secrets --------------------------------------------------------------------------------------------------


def test_a_secret_is_read_from_the_file_that_the_variable_names(tmp_path: Path) -> None:
    """`<VARIABLE>_FILE` works for every secret, without the line break at its end; the variable itself wins."""
    pointed = _file(tmp_path, f"{SECRET}\r\n", "secret")
    for setting in (s for s in SETTINGS if s.secret):
        pointer = {f"{setting.env}_FILE": str(pointed)}
        value = read_sources(environ=pointer).find(setting)
        assert (value.text, value.origin) == (SECRET, f"{setting.env}_FILE")
        assert read_sources(environ={**pointer, setting.env: "direct"}).text(setting) == "direct"


def test_only_secrets_have_a_file_variable(tmp_path: Path) -> None:
    """CLICKHOUSE_USER_FILE means nothing."""
    pointed = _file(tmp_path, "someone", "user")
    assert read_sources(environ={"CLICKHOUSE_USER_FILE": str(pointed)}).text(c.CLICKHOUSE_USER) == "default"


def test_a_secret_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are not UTF-8 are ConfigErrors that name variable and path."""
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing", tmp_path, binary):
        sources = read_sources(environ={"CLICKHOUSE_PASSWORD_FILE": str(path)})
        with pytest.raises(ConfigError, match=r"CLICKHOUSE_PASSWORD_FILE names .*which cannot be read"):
            sources.text(c.CLICKHOUSE_PASSWORD)


def test_sources_and_values_do_not_show_what_they_hold(tmp_path: Path) -> None:
    """The text of Sources and Value has neither the environment nor the file nor the flags in it."""
    file = _file(tmp_path, f'[kafka]\nsasl_password = "{SECRET}"\n')
    environ = {CONFIG_FILE_ENV: str(file), "CLICKHOUSE_PASSWORD": SECRET, "SOMETHING_ELSE": SECRET}
    sources = read_sources({"SCHEMA_REGISTRY_PASSWORD": SECRET}, environ)
    assert sources.text(c.SASL_PASSWORD) == sources.text(c.CLICKHOUSE_PASSWORD) == SECRET
    for shown in (sources, sources.all(), sources.find(c.SASL_PASSWORD)):
        assert SECRET not in repr(shown) + str(shown)


# --- the file -------------------------------------------------------------------------------------------------


def test_the_search_order_of_the_file(tmp_path: Path) -> None:
    """RUNBUS_CONFIG, else ./runbus.toml, else the local stack's in RUNBUS_HOME; one of them only."""
    environ = {HOME_ENV: str(tmp_path / "home")}
    assert read_sources(environ=environ).file_path is None
    of_home = _file(tmp_path / "home", '[clickhouse]\nuser = "home"\ndatabase = "only_home"\n')
    assert read_sources(environ=environ).file_path == of_home
    _file(Path.cwd(), '[clickhouse]\nuser = "here"\n')
    sources = read_sources(environ=environ)
    assert (sources.text(c.CLICKHOUSE_USER), sources.text(c.CLICKHOUSE_DATABASE)) == ("here", "runbus")
    named = _file(tmp_path, '[clickhouse]\nuser = "named"\n', "other.toml")
    assert read_sources(environ={**environ, CONFIG_FILE_ENV: str(named)}).text(c.CLICKHOUSE_USER) == "named"


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the process's own environment is read."""
    monkeypatch.setenv("CLICKHOUSE_USER", "of-process")
    assert read_sources().text(c.CLICKHOUSE_USER) == "of-process"


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    """RUNBUS_CONFIG that names nothing, or a folder, is an error: it was meant."""
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(ConfigError, match=r"RUNBUS_CONFIG names .*not a file"):
            read_sources(environ={CONFIG_FILE_ENV: str(path)})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[kafka\n", "cannot read"),
        ("[kafka]\nbootstrap_servers = a:1\n", "cannot read"),
        (
            "[kafka]\nbootstrap_server = 'a:1'\n",
            r"unknown key kafka.bootstrap_server; this section has: bootstrap_serv.*; did you mean kafka.boot",
        ),
        (
            "[kafak]\nbootstrap_servers = 'a:1'\n",
            r"unknown section kafak; there are: clickhouse, dashboard, episodes, kafka.*mean kafka\?",
        ),
        ("[sink]\ntopic_prefix = 'a.'\n", r"unknown key sink.topic_prefix; .*did you mean kafka.topic_prefix\?"),
        ("bootstrap_servers = 'a:1'\n", "unknown section bootstrap_servers"),
        ("kafka = 'a:1'\n", "unknown section kafka"),
        ("[kafka.ssl]\nca = 'x'\n", "unknown key kafka.ssl"),
    ],
)
def test_a_file_with_a_mistake_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """Broken TOML, unknown sections and unknown keys are ConfigErrors that name the file and what is allowed."""
    file = _file(tmp_path, text)
    with pytest.raises(ConfigError, match=says) as caught:
        read_sources(environ={CONFIG_FILE_ENV: str(file)})
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """Bytes that are no text are a ConfigError."""
    file = tmp_path / "runbus.toml"
    file.write_bytes(b"\xff\xfe[kafka]")
    with pytest.raises(ConfigError, match="cannot read"):
        read_sources(environ={CONFIG_FILE_ENV: str(file)})


def test_values_of_the_file_are_text_numbers_or_truth(tmp_path: Path) -> None:
    """Numbers and booleans are taken as text; a list is refused without showing what is in it."""
    file = _file(tmp_path, f'[clickhouse]\nuser = 7\ndatabase = true\npassword = ["{SECRET}"]\n')
    sources = read_sources(environ={CONFIG_FILE_ENV: str(file)})
    assert (sources.text(c.CLICKHOUSE_USER), sources.text(c.CLICKHOUSE_DATABASE)) == ("7", "true")
    with pytest.raises(ConfigError, match=r"clickhouse.password is a list: write it as text") as caught:
        sources.text(c.CLICKHOUSE_PASSWORD)
    assert SECRET not in str(caught.value)


# --- places ---------------------------------------------------------------------------------------------------


def test_the_places_are_those_of_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a variable, home and cache are where platformdirs says: the local stack asks it too."""
    monkeypatch.delenv(HOME_ENV)
    monkeypatch.delenv(CACHE_ENV, raising=False)
    if sys.platform != "win32":
        assert home() == platformdirs.user_data_path("runbus")
        assert cache() == platformdirs.user_cache_path("runbus")


def test_the_places_can_be_named(tmp_path: Path) -> None:
    """RUNBUS_HOME and RUNBUS_CACHE win, a relative path and ~ are made absolute."""
    assert home({HOME_ENV: str(tmp_path)}) == cache({CACHE_ENV: str(tmp_path)}) == tmp_path
    assert home({HOME_ENV: "stack"}) == Path.cwd() / "stack"
    assert home({HOME_ENV: "~/stack"}) == Path.home() / "stack"
    assert home({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "runbus"
