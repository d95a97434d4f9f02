"""Tells which folder of tests costs more than it may: `make test` is run by everybody, many times a day.

Counted is processor time of the tests and of the processes that they start and await, because that is what two cores
are short of, and because a busy machine changes it little. The shared engines are not in it, and a process counts for
the test during which it is collected. An overrun is printed and fails nothing: a timed test is a flaky one.
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Generator

import pytest

#: Folder -> processor seconds in `make test`. The longest name that fits a test counts it.
BUDGET = {
    "tests/unit": 40,
    "tests/docs": 10,
    "tests/fuzz": 10,
    "tests/simulation": 70,
    "tests/integration": 240,
    "tests/integration/audit": 60,
    "tests/integration/clickhouse": 80,
    "tests/integration/dead_letters": 60,
    "tests/integration/faust": 30,
    "tests/integration/cursors": 60,
    "tests/integration/reader": 90,
    "tests/integration/replay": 60,
    "tests/integration/recorder": 50,
    "tests/integration/security": 80,
    "tests/integration/sink": 240,
    "tests/integration/streams": 100,
    "tests/e2e": 150,
    "tests/browser": 120,
}
_COST = "processor_seconds"
_started = pytest.StashKey[float]()
_spent: Counter[str] = Counter()
_slowest: Counter[str] = Counter()


def _processor_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Note where the counter is when a test begins."""
    item.stash[_started] = _processor_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write into a test's last report what it took; that reaches the controller from any worker."""
    report = yield
    if call.when == "teardown":
        report.user_properties.append((_COST, _processor_seconds() - item.stash[_started]))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add it up."""
    for name, value in report.user_properties:
        if name == _COST and isinstance(value, float):
            _spent[_folder(report.nodeid)] += value  # type: ignore[assignment] # typeshed counts with int only
            _slowest[report.nodeid] += value  # type: ignore[assignment]


def _folder(nodeid: str) -> str:
    return max((name for name in BUDGET if nodeid.startswith(f"{name}/")), key=len, default="")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the overruns, and with `-v` or `--durations` everything."""
    config = terminalreporter.config
    verbose = config.getoption("verbose") > 0 or config.getoption("durations") is not None
    over = {name: spent for name, spent in _spent.items() if spent > BUDGET.get(name, float("inf"))}
    if not (over or verbose):
        return
    terminalreporter.section("processor seconds")
    for name, spent in _spent.most_common():
        if verbose or name in over:
            terminalreporter.write_line(f"{name}: {spent:.0f} s of {BUDGET.get(name, 0)} s")
    for test, spent in _slowest.most_common(30):
        if verbose or _folder(test) in over:
            terminalreporter.write_line(f"  {spent:6.1f} s {test}")
