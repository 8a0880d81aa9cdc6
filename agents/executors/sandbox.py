"""What a jail is made of, and how nsjail or bubblewrap is told. Starts nothing.

User 65534 and never root; processes, mounts, IPC, host name and network of its own;
the system's programs read-only, a /tmp of bounded size, and the run's work folder,
writable, at the path it has outside, so that what its environment says of it is true.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from agents.executors.jail_init import Refused

USER = 65534
OWN_BYTES = 16 << 20  # what the tool and process 1 need, beside the run's own cap
OWN_PROCESSES = 2
TMP_BYTES = 256 << 20  # of /tmp where the spec does not say; counted as memory too
SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr")
SETTINGS = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
)
FOR_NETWORK = ("/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf")
DEVICES = ("null", "zero", "full", "random", "urandom")
LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/shm": "/tmp",
}
CLONE_NEWUSER = 0x10000000
NEWER = (  # system calls that the filter's language has no names for
    425,  # io_uring_setup
    *range(428, 434),  # open_tree, move_mount, fsopen, fsconfig, fsmount, fspick
    442,  # mount_setattr
)
CLONE3 = 435  # "unknown" to the program, which then uses clone, whose flags we see
REFUSED = (
    "mount, umount, pivot_root, chroot, unshare, setns, bpf, perf_event_open, "
    "userfaultfd, keyctl, add_key, request_key, open_by_handle_at, name_to_handle_at, "
    "kexec_load, init_module, finit_module, delete_module, swapon, swapoff, reboot, "
    "quotactl, acct, settimeofday, clock_settime, process_vm_readv, process_vm_writev"
)
OURS = "/run/kos"  # where process 1 finds its program
NOTIFY_SOCKET = f"{OURS}/notify/socket"
TAKEN = (*SYSTEM, "/dev", "/etc", "/proc", "/sys", OURS)
NEVER = ("/dev", "/proc", "/sys", "/run/docker.sock")


class Tool:
    """How jails are made here. `prefix`: of the Python that runs process 1."""

    __slots__ = ("is_root", "kind", "path", "prefix", "python")

    def __init__(self, kind: str, path: str, python: str, prefix: str) -> None:
        self.kind = kind  # "nsjail" or "bwrap"
        self.path = path
        self.python = python
        self.prefix = prefix
        self.is_root = os.geteuid() == 0  # else a user namespace makes us 65534


class Bind:
    """`source` of the machine seen at `target` inside."""

    __slots__ = ("read_only", "source", "target")

    def __init__(self, source: str, target: str, *, read_only: bool = True) -> None:
        self.source = source
        self.target = target
        self.read_only = read_only


def check(spec: dict[str, Any]) -> None:
    """Raises Refused for what a jail cannot give."""
    if spec["run_as"]:
        raise Refused(f"a sandbox has its own user and cannot run as {spec['run_as']}")
    if spec["gpus"]:
        raise Refused("a sandbox has no GPU")
    if spec["image"]:
        raise Refused("a sandbox has no image")
    if spec["network"] not in ("none", "host"):
        raise Refused(f"a sandbox has no network {spec['network']!r}: none or host")


def asked_for(mounts: list[list[Any]], node: str) -> list[Bind]:
    """The mounts of a spec, checked. `node` is the holder's folder: its socket, and
    with it every other run, stays out of reach. Raises Refused."""
    found = []
    for source, target, read_only in mounts:
        for path in (source, target):
            if not path.startswith("/") or os.path.normpath(path) != path:
                raise Refused(f"not an absolute, plain path to mount: {path}")
        if target == "/" or any(is_within(target, taken) for taken in TAKEN):
            raise Refused(f"nothing can be mounted at {target}")
        real = os.path.realpath(source)
        if not os.path.exists(real):
            raise Refused(f"no such path to mount: {source}")
        holds_us = is_within(node, real) or is_within(real, node)
        if holds_us or any(is_within(real, never) for never in NEVER):
            raise Refused(f"a sandbox must not see {source}")
        if stat.S_ISSOCK(os.stat(real).st_mode):
            raise Refused(f"a sandbox must not see a socket: {source}")
        found.append(Bind(real, target, read_only=read_only))
    return found


def is_within(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder.rstrip('/')}/")


def binds(tool: Tool, spec: dict[str, Any], node: str) -> list[Bind]:
    """Everything of the machine that the run sees, outer paths first."""
    shared = [*SYSTEM, *SETTINGS]
    if spec["network"] == "host":
        shared += FOR_NETWORK
    if not any(is_within(tool.prefix, place) for place in SYSTEM):
        shared.append(tool.prefix)
    found = [Bind(path, path) for path in shared if os.path.exists(path)]
    found += [
        Bind(f"{node}/jail/passwd", "/etc/passwd"),
        Bind(f"{node}/jail/group", "/etc/group"),
        Bind(init_file(), f"{OURS}/init.py"),
    ]
    if "notify" in spec:
        found.append(Bind(spec["notify"], f"{OURS}/notify"))
    asked = asked_for(spec["mounts"], node)
    work = spec.get("work") or f"{spec['folder']}/work"
    asked.append(Bind(work, work, read_only=False))
    return found + sorted(asked, key=lambda bind: bind.target.count("/"))


def init_file() -> str:
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "jail_init.py")


def process_1(tool: Tool, order: int, report: int, news: int) -> list[str]:
    command = [tool.python, "-I", "-S", "-X", "utf8", f"{OURS}/init.py"]
    return [*command, str(order), str(report), str(news)]


# -- nsjail ---------------------------------------------------------------------------


def nsjail_config(
    tool: Tool, spec: dict[str, Any], seen: list[Bind], log: str, fds: list[int]
) -> str:
    """In nsjail's own language: a path may hold what its options split at."""
    tmp = f"size={spec['disk'] or TMP_BYTES},mode=1777"
    lines = [
        "mode: ONCE",
        'hostname: "sandbox"',
        'cwd: "/"',
        "time_limit: 0",
        "disable_rl: true",
        "nice_level: 0",
        "log_level: ERROR",
        f"log_file: {quoted(log)}",
        f"clone_newnet: {said(spec['network'] == 'none')}",
        f"clone_newuser: {said(not tool.is_root)}",
        f"uidmap {{ {mapped(tool)} }}",
        f"gidmap {{ {mapped(tool)} }}",
        f"seccomp_string: {quoted(filter_of_calls())}",
        "mount_proc: true",
        f'mount {{ dst: "/tmp" fstype: "tmpfs" rw: true options: "{tmp}" '
        "nosuid: true nodev: true }",
    ]
    lines += [
        f"mount {{ src: {quoted(f'/dev/{name}')} dst: {quoted(f'/dev/{name}')} "
        "is_bind: true rw: true }"
        for name in DEVICES
    ]
    lines += [
        f"mount {{ src: {quoted(to)} dst: {quoted(at)} is_symlink: true }}"
        for at, to in LINKS.items()
    ]
    lines += [
        f"mount {{ src: {quoted(one.source)} dst: {quoted(one.target)} "
        f"is_bind: true rw: {said(not one.read_only)} nosuid: true }}"
        for one in seen
    ]
    return "\n".join([*lines, *(f"pass_fd: {fd}" for fd in fds)]) + "\n"


def filter_of_calls() -> str:
    """System calls that only serve to break out are refused (EPERM, ENOSYS)."""
    newer = ", ".join(f"SYSCALL[{number}]" for number in NEWER)
    clone = f"clone {{ (clone_flags & {CLONE_NEWUSER:#x}) != 0 }}"
    refused = f"ERRNO(1) {{ {REFUSED}, {newer}, {clone} }}"
    return f"{refused} ERRNO(38) {{ SYSCALL[{CLONE3}] }} DEFAULT ALLOW"


def mapped(tool: Tool) -> str:
    outside = str(USER) if tool.is_root else ""
    return f'inside_id: "{USER}" outside_id: "{outside}"'


def said(value: bool) -> str:
    return "true" if value else "false"


def quoted(text: str) -> str:
    plain = (b for b in os.fsencode(text))
    return '"' + "".join(_escaped(byte) for byte in plain) + '"'


def _escaped(byte: int) -> str:
    if 32 <= byte < 127 and byte not in b'"\\':
        return chr(byte)
    return f"\\{byte:03o}"


# -- bubblewrap -----------------------------------------------------------------------


def bwrap_options(tool: Tool, spec: dict[str, Any], seen: list[Bind]) -> list[str]:
    options = ["--as-pid-1", "--clearenv", "--hostname", "sandbox"]
    options += ["--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    options += ["--unshare-cgroup-try"]
    if spec["network"] == "none":
        options.append("--unshare-net")
    if tool.is_root:  # process 1 becomes the user itself, with these two
        options += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID"]
        options += ["--cap-add", "CAP_SETGID"]
    else:
        options += ["--unshare-user", "--uid", str(USER), "--gid", str(USER)]
    options += ["--proc", "/proc", "--perms", "1777"]
    options += ["--size", str(spec["disk"] or TMP_BYTES), "--tmpfs", "/tmp"]
    for folder in folders_above(seen):  # it would make them for root alone
        options += ["--perms", "0755", "--dir", folder]
    for name in DEVICES:
        options += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for at, to in LINKS.items():
        options += ["--symlink", to, at]
    for one in seen:
        how = "--ro-bind" if one.read_only else "--bind"
        options += [how, one.source, one.target]
    return [*options, "--remount-ro", "/", "--chdir", "/"]


def folders_above(seen: list[Bind]) -> list[str]:
    """The folders that only lead to what is seen, outer ones first."""
    found = {"/dev"}
    mounted: list[str] = []
    for one in seen:
        if not any(is_within(one.target, other) for other in mounted):
            parts = one.target.split("/")[1:-1]
            found |= {"/" + "/".join(parts[: n + 1]) for n in range(len(parts))}
        mounted.append(one.target)
    return sorted(found - {"/tmp"})
