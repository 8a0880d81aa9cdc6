"""`event`: what happens elsewhere fires it: a webhook, the end of a run, a node that
goes or comes, a file that appears. An object with exactly one of the four.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import orjson

from agents import names
from agents.quantities import QuantityError, parse_duration
from scheduling.kinds.base import Context, Kind
from scheduling.run_state import FINAL
from scheduling.triggers.base import Trigger
from scheduling.triggers.never import NeverTrigger
from scheduling.triggers.spans import span

SOURCES = ("webhook", "run", "node", "file")
RUNS_OF = ("agent", "capability", "tag")
FINISHED, CRASHED = (
    "finished",
    "crashed",
)  # any end of its own; a persistent one's fault
DEADLINE_NEWS = {
    "deadline_at_risk": "is at risk of missing a deadline",
    "deadline_missed": "misses a deadline",
}
RUN_STATES = (*sorted(FINAL), FINISHED, CRASHED, *DEADLINE_NEWS)
NODE_STATES = ("down", "up")
STABLE_S = 2.0  # a file is taken once it has kept its size for so long
MOST_STABLE_S = 3600
MOST_MATCHES = 20
MOST_PATH_CHARS = 200
MOST_RULE_CHARS = 4000  # the column's width
WILD = "*?["


def read(value: object) -> str:
    said = f"expected an object with exactly one of {', '.join(SOURCES)}"
    if not isinstance(value, dict):
        raise ValueError(said)
    named = [key for key in SOURCES if key in value]
    if len(named) != 1:
        raise ValueError(said)
    source = named[0]
    known = (source, "match") if source == "webhook" else (source,)
    _only(value, known, "event")
    rule = {source: READERS[source](value[source])}
    if "match" in value:
        rule["match"] = _match(value["match"])
    text = orjson.dumps(rule, option=orjson.OPT_SORT_KEYS).decode()
    if len(text) > MOST_RULE_CHARS:
        raise ValueError(f"longer than {MOST_RULE_CHARS} characters")
    return text


def _only(value: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for key in value:
        if key not in known:
            raise ValueError(
                f"unknown key {str(key)[:40]!r} in {where}; expected {', '.join(known)}"
            )


def _object(value: object, known: Collection[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object with {', '.join(known)}")
    _only(value, known, where)
    return value


def _webhook(value: object) -> str:
    return _name(value, "webhook")


def _name(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where}: expected a name")
    try:
        return names.label(value)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _match(value: object) -> dict[str, Any]:
    """Paths into the body, and what must stand there."""
    if not isinstance(value, dict) or not 1 <= len(value) <= MOST_MATCHES:
        raise ValueError(f"match: expected an object of 1 to {MOST_MATCHES} paths")
    for path, wanted in value.items():
        if not 0 < len(path) <= MOST_PATH_CHARS or "" in path.split("."):
            raise ValueError(f'match: {path[:40]!r} is not a path such as "event.type"')
        if not isinstance(wanted, str | int | float | bool | None):
            raise ValueError(f"match: {path} can equal a text, a number, true or null")
    return value


def _run(value: object) -> dict[str, Any]:
    given = _object(value, (*RUNS_OF, "states"), "run")
    named = [key for key in RUNS_OF if key in given]
    if len(named) != 1:
        raise ValueError(f"run: give exactly one of {', '.join(RUNS_OF)}")
    which = named[0]
    if which == "tag" and isinstance(given["tag"], str):
        name = names.tag(given["tag"])
    else:
        name = _name(given[which], f"run.{which}")
    return {which: name, "states": _states(given, RUN_STATES, "run")}


def _states(given: Mapping[str, Any], known: Collection[str], where: str) -> list[str]:
    states = given.get("states")
    fits = isinstance(states, list) and states and all(s in known for s in states)
    if not fits:
        raise ValueError(f"{where}.states: expected some of {', '.join(known)}")
    return sorted(set(cast(list[str], states)))


def _node(value: object) -> dict[str, Any]:
    given = _object(value, ("name", "states"), "node")
    found: dict[str, Any] = {"states": _states(given, NODE_STATES, "node")}
    if given.get("name") is not None:
        found["name"] = _name(given["name"], "node.name")
    return found


def _file(value: object) -> dict[str, Any]:
    given = _object(value, ("path", "node", "stable_for"), "file")
    path = given.get("path")
    if not isinstance(path, str):
        raise ValueError("file.path: expected an absolute path or pattern")
    try:
        names.absolute(path)
        stable = given.get("stable_for", STABLE_S)
        stable_s = parse_duration(stable, least_s=0, most_s=MOST_STABLE_S)
    except QuantityError as error:
        raise ValueError(f"file.stable_for: {error}") from None
    except ValueError as error:
        raise ValueError(f"file.path: {error}") from None
    if path.endswith("/") or "**" in path:
        raise ValueError(
            "file.path: names files, such as /data/in/*.csv; ** is not used"
        )
    found: dict[str, Any] = {"path": path, "stable_for": stable_s}
    if given.get("node") is not None:
        found["node"] = _name(given["node"], "file.node")
    return found


READERS: Mapping[str, Callable[[object], Any]] = {
    "webhook": _webhook,
    "run": _run,
    "node": _node,
    "file": _file,
}


def source_of(rule: str) -> tuple[str, dict[str, Any]]:
    """What a stored rule waits for: its source, and the whole rule."""
    found = orjson.loads(rule)
    return next(name for name in SOURCES if name in found), found


def value(rule: str) -> object:
    return orjson.loads(rule)


def trigger(rule: str, context: Context) -> NeverTrigger:
    return NeverTrigger(rule)


def words(trigger: Trigger, zone: ZoneInfo) -> str:
    source, rule = source_of(cast(NeverTrigger, trigger).rule)
    return WORDS[source](rule)


def _webhook_words(rule: Mapping[str, Any]) -> str:
    said = f"When the webhook {rule['webhook']} is called"
    wanted = [f"{path} is {_json(v)}" for path, v in rule.get("match", {}).items()]
    return f"{said} and {' and '.join(wanted)}" if wanted else said


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _run_words(rule: Mapping[str, Any]) -> str:
    run = rule["run"]
    which = next(key for key in RUNS_OF if key in run)
    of = {
        "agent": f"of {run[which]}",
        "capability": f"of an agent that can {run[which]}",
        "tag": f"of an agent tagged {run[which]}",
    }
    states = run["states"]
    ends = [s.replace("_", " ") for s in states if s not in DEADLINE_NEWS]
    does = [f"ends as {' or '.join(ends)}"] if ends else []
    does += [said for name, said in DEADLINE_NEWS.items() if name in states]
    return f"When a run {of[which]} {' or '.join(does)}"


def _node_words(rule: Mapping[str, Any]) -> str:
    node = rule["node"]
    turns = {"down": "goes down", "up": "comes up"}
    does = " or ".join(turns[state] for state in node["states"])
    return f"When {node.get('name', 'any node')} {does}"


def _file_words(rule: Mapping[str, Any]) -> str:
    file = rule["file"]
    what = "a file like " if any(c in file["path"] for c in WILD) else ""
    where = f" on {file['node']}" if "node" in file else ""
    kept = span(timedelta(seconds=file["stable_for"]))
    return f"When {what}{file['path']} appears{where} and keeps its size for {kept}"


WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "webhook": _webhook_words,
    "run": _run_words,
    "node": _node_words,
    "file": _file_words,
}

KIND = Kind("event", read, trigger, words, value, timed=False)
