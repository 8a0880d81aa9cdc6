"""What this installation and the caller's rights allow in a definition.

registration.py says what a definition may look like anywhere; here stands what the
configuration narrows: who may run programs outside a sandbox, as whom, from where.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents import live_config, names, web_targets
from agents.errors import Forbidden, Invalid
from agents.secret_uses import dispatched_of

UNSANDBOXED = ("subprocess", "systemd")  # run with a user's own rights on the node


@dataclass(frozen=True, slots=True)
class Rules:
    """An empty `run_as_users` is nobody, an empty `entry_roots` any folder, any other
    empty one nothing."""

    run_as_users: tuple[str, ...] = ()
    entry_roots: tuple[str, ...] = ()
    mount_roots: tuple[str, ...] = ()
    preload_roots: tuple[str, ...] = ()
    archive_roots: tuple[str, ...] = ()
    file_roots: tuple[str, ...] = ()
    private_targets: bool = False


def configured_rules(*, is_admin: bool) -> Rules:
    """The configuration's rules; only an admin may name another user to run as."""
    config = live_config.current()
    users = config.security.run_as_users if is_admin else ()
    paths = config.paths
    return Rules(
        users,
        paths.entry_roots,
        paths.mount_roots,
        paths.preload_roots,
        paths.archive_roots,
        config.results.file_roots,
        config.results.allow_private_targets,
    )


def may_unsandboxed(role: str) -> bool:
    """Whether this role may define agents that run outside a sandbox."""
    needs_admin = live_config.current().security.subprocess_needs_admin
    return role == "admin" or (role == "editor" and not needs_admin)


def check(
    raw: object, *, may_unsandboxed: bool, rules: Rules | None = None
) -> dict[str, Any]:
    """The spec of a definition this caller may make. Raises Invalid or Forbidden."""
    from agents.registration import parse_agent  # pydantic: not in the lean processes

    spec = parse_agent(raw)
    check_allowed(spec, may_unsandboxed=may_unsandboxed, rules=rules)
    return spec


def check_allowed(
    spec: Mapping[str, Any], *, may_unsandboxed: bool, rules: Rules | None = None
) -> None:
    """Raises Forbidden or Invalid where the rules (else the configured ones) say no."""
    rules = rules or configured_rules(is_admin=may_unsandboxed)
    if spec["exec_env"] in UNSANDBOXED:
        if not may_unsandboxed:
            env = spec["exec_env"]
            raise _forbidden("exec_env", f"only an admin may define {env} agents")
        _check_program(spec["entry_point"], rules)
    for box in ("docker", "sandbox"):
        _check_mounts(box, (spec.get(box) or {}).get("mounts", ()), rules)
    if shares_network(spec) and not may_unsandboxed:
        said = "only an admin may define sandboxes on the machine's own network"
        raise _forbidden("sandbox.network", said)
    _check_hooks(spec, rules)
    _check_results("results", spec.get("results", ()), rules)
    _check_results("hooks", dispatched_of(spec), rules)
    user = spec["run_as"]
    if user and user not in rules.run_as_users:
        allowed = ", ".join(rules.run_as_users) or "nobody"
        said = f"agents may run as {allowed} here, not as {user}"
        raise _forbidden("run_as", f"{said} (security.run_as_users)")


def _forbidden(field: str, said: str) -> Forbidden:
    return Forbidden(f"{field}: {said}", {field: [said]})


def _check_program(path: str, rules: Rules) -> None:
    if said := _not_a_program(path, rules):
        raise Invalid(f"entry_point: {said}", {"entry_point": [said]})


def _not_a_program(path: str, rules: Rules) -> str:
    said = ""
    if rules.entry_roots and not names.is_under(path, rules.entry_roots):
        said = f"programs must be under {', '.join(rules.entry_roots)}"
    elif "/" in path and os.path.isdir(path):
        said = f"{path} is a folder, not a program"
    return said


def shares_network(spec: Mapping[str, Any]) -> bool:
    return (spec.get("sandbox") or {}).get("network") == "host"


def _check_mounts(box: str, mounts: Sequence[Mapping[str, Any]], rules: Rules) -> None:
    for number, mount in enumerate(mounts):
        if names.is_under(mount["source"], rules.mount_roots):
            continue
        roots = ", ".join(rules.mount_roots) or "no folder at all"
        said = f"what is mounted must be under {roots} (paths.mount_roots)"
        raise _forbidden(f"{box}.mounts.{number}.source", said)


def _check_hooks(spec: Mapping[str, Any], rules: Rules) -> None:
    """Commands of unsandboxed agents are under the same rule as their program; the
    node itself reads and writes for hooks only where it is allowed to."""
    for when, steps in spec["hooks"].items():
        for number, step in enumerate(steps, 1):
            where = f"{when.replace('_', '-')} hook {number}"
            if spec["exec_env"] in UNSANDBOXED:
                _check_command(step, where, rules)
            _check_places(step, where, rules)


def _check_command(step: Mapping[str, Any], where: str, rules: Rules) -> None:
    command = step.get("run") or step.get("warm_up", {}).get("command")
    if command and (said := _not_a_program(command[0], rules)):
        raise Invalid(f"hooks: {where}: {said}", {"hooks": [f"{where}: {said}"]})


def _check_places(step: Mapping[str, Any], where: str, rules: Rules) -> None:
    source, target = step.get("preload", {}).get("from"), step.get("archive")
    if source and source.startswith("/"):
        _check_place(source, rules.preload_roots, f"{where}, from", "preload_roots")
    if target:
        _check_place(target["to"], rules.archive_roots, f"{where}, to", "archive_roots")


def _check_place(path: str, roots: tuple[str, ...], where: str, key: str) -> None:
    if not names.is_under(path, roots):
        allowed = ", ".join(roots) or "no folder at all"
        raise _forbidden("hooks", f"{where}: must be under {allowed} (paths.{key})")


def _check_results(
    field: str, results: Iterable[Mapping[str, Any]], rules: Rules
) -> None:
    """What can be seen of a target before anything is sent there."""
    for number, result in enumerate(results, 1):
        url, path = result.get("webhook"), result.get("file")
        if url is not None:
            private = rules.private_targets
            if said := web_targets.literal_refusal(url, allow_private=private):
                said = f"item {number}, webhook: {said}"
                raise Invalid(f"{field}: {said}", {field: [said]})
        if path is not None and not names.is_under(path, rules.file_roots):
            roots = ", ".join(rules.file_roots) or "no folder at all"
            said = f"item {number}, file: must be under {roots} (results.file_roots)"
            raise _forbidden(field, said)
