"""Reads the logs of Inspect: `.json`, and `.eval`, a ZIP of JSON files with a sample in each.

A sample is an episode: its messages, its scores, each under its own name, and its error if it has one.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runbus.ingest.acts import Act, Defaults, Ended, Judged, Started, Who
from runbus.ingest.chat import Conversation, episode_of
from runbus.ingest.documents import Malformed
from runbus.ingest.formats import CannotIngest
from runbus.ingest.values import id_of, iso_us, mapping, objects, text_of
from runbus.schemas.events import Outcome

_HEADERS = ("header.json", "_journal/start.json")
_OUTCOMES: Mapping[str, Outcome] = {"success": "completed", "error": "failed", "cancelled": "interrupted"}
#: scores in letters, as Inspect's own metrics read them
_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}


def inspect_log(path: Path, defaults: Defaults) -> Iterator[Act]:
    """Yield the acts of a log. Raises CannotIngest."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield from _eval(archive, defaults, path)
        else:
            log = mapping(json.loads(path.read_bytes()), "the log")
            yield from _log(log, objects(log.get("samples"), "samples"), defaults)
    except NotImplementedError as error:  # a compression that this Python has not
        raise CannotIngest(
            f"{path} is compressed in a way that this Python cannot read ({error}): write it as .json with "
            "`inspect log convert --to json`"
        ) from error
    except (OSError, ValueError, zipfile.BadZipFile, Malformed, RecursionError) as error:
        raise CannotIngest(f"{path} is no log of Inspect: {error}") from error


def _eval(archive: zipfile.ZipFile, defaults: Defaults, path: Path) -> Iterator[Act]:
    names = archive.namelist()
    header = next((name for name in _HEADERS if name in names), None)
    if header is None:
        raise CannotIngest(f"{path} has no header.json: it is no log of Inspect")
    samples = (
        mapping(json.loads(archive.read(name)), name)
        for name in names
        if name.startswith("samples/") and name.endswith(".json")
    )
    yield from _log(mapping(json.loads(archive.read(header)), header), samples, defaults)


def _log(
    log: Mapping[str, Any], samples: Iterator[Mapping[str, Any]] | list[Mapping[str, Any]], defaults: Defaults
) -> Iterator[Act]:
    about = mapping(log.get("eval"), "eval")
    if not about:
        raise Malformed("it has no `eval`")
    who = Who(defaults.run or id_of(about.get("run_id")) or "inspect", id_of(about.get("model")) or defaults.agent)
    labels = {name: text for name in ("task", "model", "eval_id", "created") if (text := text_of(about.get(name)))}
    yield Started(
        run=who.run, agent=who.agent, config={"eval": about, "plan": log.get("plan")}, labels=labels, tags=_tags(about)
    )
    for sample in samples:
        yield from _sample(who, sample)
    status = text_of(log.get("status"))
    error = mapping(log.get("error"), "error")
    yield Ended(
        run=who.run,
        agent=who.agent,
        outcome=_OUTCOMES.get(status, "interrupted"),
        error=text_of(error.get("message")) or ("" if status == "success" else f"the log's status is {status!r}"),
    )


def _sample(who: Who, sample: Mapping[str, Any]) -> Iterator[Act]:
    output = mapping(sample.get("output"), "output")
    limit, error = mapping(sample.get("limit"), "limit"), mapping(sample.get("error"), "error")
    kept = ("input", "target", "choices", "metadata", "output", "model_usage", "limit", "error", "uuid", "total_time")
    labels = {"sample_id": sample.get("id"), "epoch": sample.get("epoch"), "group": sample.get("id")}
    at_us = iso_us(sample.get("started_at"))
    yield from episode_of(
        Conversation(
            who=who,
            messages=objects(sample.get("messages"), "messages"),
            is_models=lambda message: message.get("role") == "assistant" and message.get("source") != "input",
            reward=None,
            labels={name: label for name, label in labels.items() if label is not None},
            info={name: sample[name] for name in kept if sample.get(name) not in (None, {}, [])},
            stop=text_of(limit.get("type")) or text_of(output.get("stop_reason")),
            truncated=bool(limit),
            failed=bool(error),
            at_us=at_us,
        )
    )
    ended_us = iso_us(sample.get("completed_at")) or at_us
    for name, score in mapping(sample.get("scores"), "scores").items():
        yield _judged(who, name, mapping(score, name), ended_us)


def _judged(who: Who, name: str, score: Mapping[str, Any], at_us: int | None) -> Judged:
    """Return a score: a number, a letter and its number, or the words alone."""
    given = score.get("value")
    value = _LETTERS.get(given) if isinstance(given, str) else None
    if isinstance(given, (int, float)):
        value = float(given)
    label = given if isinstance(given, str) else "" if isinstance(given, (int, float)) else json.dumps(given)
    return Judged(
        who=who, value=value, name=name, judge=name, label=label, text=text_of(score.get("explanation")), at_us=at_us
    )


def _tags(about: Mapping[str, Any]) -> tuple[str, ...]:
    tags = about.get("tags")
    return tuple(map(str, tags)) if isinstance(tags, list) else ()
