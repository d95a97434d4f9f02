r"""Reads the filter of a list of runs, and says it in SQL; page/lib/filter.js keeps the same rows of a list.

Clauses stand side by side and all must hold; `-` in front turns one round.

    walk              a word of the run's name, its labels or its tags, in any case
    "two words"       the same with a space
    /seed-[0-3]$/     a regular expression over the run's name
    state:failed      a field is it; `*` stands for anything; `a,b` is one of them
    lr>=1e-4          a field is a number, or a time, and compares: > >= < <=
    algo~^dq          a field by regular expression

Fields are the columns of the list, `tag`, and whatever labels and configuration have; `label.x` and `config.x` say
which, and a dot goes into a nested configuration. What a person writes is a parameter of the statement, never a part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from runbus.dashboard.errors import ApiError

_PART = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(
    rf"(?P<minus>-?)(?:/(?P<regex>(?:[^/\\]|\\.)+)/(?=\s|$)"
    rf'|(?P<field>{_PART}|[^\s:=<>~"]+)(?P<op>>=|<=|[:=<>~])(?P<value>{_PART}|\S*)'
    rf"|(?P<word>{_PART}|\S+))"
)
_ALIASES = {"outcome": "state", "name": "run", "return": "mean_return", "started": "started_at"}
#: Columns of the list that a filter may name; of a number that is not there, nothing holds.
TEXTS = ("run", "state")
NUMBERS = ("agents", "attempts", "steps", "episodes", "mean_return", "dropped", "started_at", "finished_at")
#: What only runs have that are followed live.
_LIVE = ("sps", "epm", "gaps")
_TIMES = ("started_at", "finished_at")
_NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition, as it was written in `text`; without a field it is a word."""

    text: str
    negated: bool
    field: str
    op: str
    value: str


@dataclass(slots=True)
class Filter:
    """A filter in SQL.

    Attributes:
        clauses: as they were read.
        sql: a condition over the columns of a list of runs.
        parameters: of its places.
    """

    clauses: list[Clause]
    sql: str = ""
    parameters: dict[str, object] = field(default_factory=dict)

    def names(self, column: str) -> bool:
        """Return whether a clause is about a column."""
        return any(clause.field == column for clause in self.clauses)

    def place(self, value: str | float) -> str:
        """Make a value a parameter; return its place."""
        name = f"filter_{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{'String' if isinstance(value, str) else 'Float64'}}}"


def read(text: str) -> Filter:
    """Return a filter. Raises ApiError (400) naming the clause that is wrong."""
    clauses = []
    for token in _tokens(text):
        clause = _clause(token)
        if why := _why_not(clause):
            raise _wrong(clause.text, why)
        clauses.append(clause)
    found = Filter(clauses)
    found.sql = " AND ".join(_sql(found, clause) for clause in clauses) or "true"
    return found


def texts(found: Filter, name: str) -> str:
    """Return the SQL of the values of a field, as texts: none, one, or one for each tag."""
    if name == "tag":
        return "tags"
    if name in TEXTS:
        return f"[{name}]"
    if name in NUMBERS:
        return f"if(isFinite({name}), [toString({name})], [])"
    if name in _LIVE:
        return "CAST([] AS Array(String))"
    if name.startswith("label."):
        return _label(found, name.removeprefix("label."))
    if name.startswith("config."):
        return _inside(found, name.removeprefix("config."))
    return f"if(empty({_label(found, name)}), {_inside(found, name)}, {_label(found, name)})"


def number(text: str) -> str:
    """Return the SQL of the number that a text is, NULL if it is none."""
    return f"if(match({text}, '{_NUMBER.replace(chr(92), chr(92) * 2)}'), toFloat64OrNull({text}), NULL)"


def _tokens(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token = _TOKEN.match(text, at)
        if token is None or _unclosed(token[0]):
            raise _wrong(text[at:].strip(), "a quotation mark is missing")
        yield token
        at = token.end()


def _unclosed(token: str) -> bool:
    opened = re.match(r'-?"', token) is not None
    return opened != (re.match(rf"-?{_PART}", token) is not None) or re.search(r'[:=<>~]"[^"]*$', token) is not None


def _clause(token: re.Match[str]) -> Clause:
    text, negated = token[0], token["minus"] == "-"
    if token["regex"] is not None:
        return Clause(text, negated, "run", "~", token["regex"])
    if token["field"] is not None:
        name = _plain(token["field"])
        op = ":" if token["op"] == "=" else token["op"]
        return Clause(text, negated, _ALIASES.get(name, name), op, _plain(token["value"]))
    return Clause(text, negated, "", ":", _plain(token["word"]))


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def _why_not(clause: Clause) -> str:
    if not clause.value:
        return "a value is missing"
    if clause.op == "~":
        return "" if _is_regex(clause.value) else "this is no regular expression"
    if clause.op == ":":
        return ""
    if clause.field in _TIMES:
        return "" if _time(clause.value) is not None else "a date is missing: started>=2026-11-29"
    return "" if re.match(_NUMBER, clause.value) else "a number is missing"


def _is_regex(text: str) -> bool:
    try:
        return bool(re.compile(text))
    except (re.error, RecursionError, OverflowError):
        return False


def _time(text: str) -> float | None:
    """Return microseconds since the epoch; a time without a zone is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1e6


def _wrong(clause: str, why: str) -> ApiError:
    return ApiError(400, f"filter, at {clause[:200]!r}: {why}", "docs/dashboard-api.md says how a filter is written")


def _sql(found: Filter, clause: Clause) -> str:
    if clause.field:
        values = texts(found, clause.field)
        holds = f"arrayExists(value -> {_holds(found, clause)}, {values})"
    else:
        word = found.place(clause.value)
        words = "arrayConcat([run], mapValues(labels), tags)"
        holds = f"arrayExists(value -> positionCaseInsensitiveUTF8(value, {word}) > 0, {words})"
    return f"NOT {holds}" if clause.negated else holds


def _holds(found: Filter, clause: Clause) -> str:
    """Return the condition over one `value` of a field."""
    if clause.op == "~":
        return f"match(value, {found.place(f'(?i){clause.value}')})"
    if clause.op != ":":
        wanted = _time(clause.value) if clause.field in _TIMES else float(clause.value)
        return f"ifNull({number('value')} {clause.op} {found.place(float(wanted or 0))}, false)"
    return f"({' OR '.join(_is(found, one) for one in clause.value.split(','))})"


def _is(found: Filter, wanted: str) -> str:
    pattern = ".*".join(re.escape(part) for part in wanted.split("*"))
    same = f"match(value, {found.place(f'(?is)^{pattern}$')})"
    if not re.match(_NUMBER, wanted):
        return same
    return f"{same} OR ifNull({number('value')} = {found.place(float(wanted))}, false)"


def _label(found: Filter, name: str) -> str:
    place = found.place(name)
    return f"if(mapContains(labels, {place}), [labels[{place}]], [])"


def _inside(found: Filter, path: str) -> str:
    """Return the value in the configuration: under the whole name, or further in at each dot."""
    pieces, whole = path.split(".", _DEEPEST), []
    for depth in range(len(pieces)):
        steps = [*pieces[:depth], ".".join(pieces[depth:])]
        at = f"config, {', '.join(found.place(step) for step in steps)}"
        value = (
            f"multiIf(JSONType({at}) = 'Null', [], JSONType({at}) = 'String', [JSONExtractString({at})],"
            f" [JSONExtractRaw({at})])"
        )
        whole.append(f"JSONHas({at}), {value}")
    return f"multiIf({', '.join(whole)}, [])"
