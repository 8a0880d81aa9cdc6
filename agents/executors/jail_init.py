"""Process 1 of a jail: starts the program, reaps what is orphaned, reports the truth.

The jail's own tool loses how a program ended (137 may be SIGKILL or `exit 137`), so the
wait status goes to a file of the holder: "S wall-clock-ns pid" when the program runs,
"E wait-status" when it is over, or "F reason" when it could not be started. With the
program's end this process ends, and with it the kernel ends whatever else is inside.

It has no handlers and, as process 1, is spared every signal that has none: the holder
signals the program itself. Standard library only; find_program and explain serve the
holder's plain starts too. Run as `python -I -S -X utf8 jail_init.py ORDER REPORT NEWS`.
"""

from __future__ import annotations

import contextlib
import errno
import marshal
import os
import sys
import time

PATH_WHEN_NONE = "/usr/local/bin:/usr/bin:/bin"
NOT_OURS = (9, 19, 32, 33)  # KILL, STOP, and two that libc keeps to itself
DEFAULTS = [number for number in range(1, 65) if number not in NOT_OURS]


class Refused(Exception):
    """The program cannot be started; the text is for people."""


def find_program(name: str, env: dict[str, str], work: str) -> str:
    """The file that `name` means, looked up in the run's own PATH. Raises Refused."""
    if not name:
        raise Refused("no program named")
    if "/" in name:
        candidates = [name]
    else:
        places = env.get("PATH") or PATH_WHEN_NONE
        candidates = [os.path.join(place or ".", name) for place in places.split(":")]
    denied = ""
    for candidate in candidates:
        full = os.path.join(work, candidate)
        if not os.path.isfile(full):
            continue
        if os.access(full, os.X_OK):
            return candidate
        denied = candidate
    if denied:
        raise Refused(f"not executable: {denied}")
    if "/" in name and os.path.isdir(os.path.join(work, name)):
        raise Refused(f"is a folder, not a program: {name}")
    raise Refused(f"no such program: {name}")


def explain(error: OSError, program: str) -> str:
    if error.errno == errno.ENOENT:
        return f"cannot start {program}: it or its interpreter does not exist"
    if error.errno == errno.ENOEXEC:
        return f"cannot start {program}: not a program (a script needs its #! line)"
    if error.errno == errno.E2BIG:
        return f"cannot start {program}: arguments and environment are too long"
    return f"cannot start {program}: {os.strerror(error.errno or 0)}"


def begin(order: dict[str, object]) -> int:
    """Start what is ordered; its pid in here. Raises Refused."""
    argv: list[str] = order["argv"]  # type: ignore[assignment]
    env: dict[str, str] = order["env"]  # type: ignore[assignment]
    work: str = order["work"]  # type: ignore[assignment]
    name = argv[0] if argv else ""
    try:
        limit_open_files(int(order["open_files"]))  # type: ignore[call-overload]
        if order["become"] is not None:
            become(int(order["become"]))  # type: ignore[call-overload]
        program = find_program(name, env, work)
        os.chdir(work)
        return os.posix_spawn(
            program, argv, env, setsid=True, setsigmask=(), setsigdef=DEFAULTS
        )
    except OSError as error:
        raise Refused(explain(error, name)) from None
    except (ValueError, TypeError) as error:  # a NUL in argv or env, "=" in a name
        raise Refused(f"cannot be passed to a program: {error}") from None


def limit_open_files(count: int) -> None:
    import resource  # not needed by those who borrow find_program

    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def become(user: int) -> None:
    """Where the jail's tool leaves that to us. With the user go all capabilities."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def reap_until(program: int) -> int:
    """The wait status of the program; orphans are reaped on the way."""
    while True:
        pid, status = os.wait()
        if pid == program:
            return status


def main() -> None:
    order_fd, report, news = map(int, sys.argv[1:4])
    with os.fdopen(order_fd, "rb") as data:
        order = marshal.load(data)
    os.set_inheritable(report, False)
    os.set_inheritable(news, False)
    try:
        program = begin(order)
    except Refused as refused:
        said = " ".join(str(refused).split())
        os.write(report, f"F {said}\n".encode(errors="replace"))
        return
    os.write(report, b"S %d %d\n" % (time.time_ns(), program))
    with contextlib.suppress(OSError):  # a later holder looks at the report
        os.write(news, b".")
    os.write(report, b"E %d\n" % reap_until(program))


if __name__ == "__main__":
    main()
