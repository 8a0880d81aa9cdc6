"""The rule of each kind of name in a definition: ids, programs, images, users, folders.

Each function returns the name as it came or raises ValueError with one sentence.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from agents.quantities import shown
from agents.text import unreadable

AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
RESERVED_IDS = {"parse-command", "graph"}  # stand beside ids in the API's addresses
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+=-]{0,63}", re.ASCII)
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
PROGRAM = re.compile(r"[A-Za-z0-9_+.\[][A-Za-z0-9_+.\[-]*", re.ASCII)
SHELL_CHARACTERS = re.compile(r"[\t;&|<>$`\"'()*?\\{}]| [-/]")  # or an argument
PATH_MAX = 4096  # Linux, one path
NAME_MAX = 255  # Linux, one part of a path

# A variable that makes a program load or run something else than its definition says.
HIJACKING_PREFIXES = ("LD_", "DYLD_", "PYTHON", "PERL5", "RUBY", "BASH_FUNC_", "KOS_")
HIJACKING = {
    "BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "IFS",
    "NODE_OPTIONS", "NODE_PATH", "PERLLIB", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS", "GCONV_PATH", "GLIBC_TUNABLES", "NOTIFY_SOCKET", "LOCPATH",
    "NLSPATH", "HOSTALIASES", "RESOLV_HOST_CONF", "GIT_SSH_COMMAND", "LUA_INIT",
    "PHPRC", "PHP_INI_SCAN_DIR", "ZDOTDIR", "WATCHDOG_USEC", "WATCHDOG_PID",
}  # fmt: skip

SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
KERNEL_FOLDERS = ("/dev", "/proc", "/sys")
FOLDERS = {  # of the Filesystem Hierarchy Standard: never programs
    "/", "/bin", "/boot", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt",
    "/opt", "/root", "/run", "/sbin", "/srv", "/tmp", "/usr", "/usr/bin", "/usr/lib",
    "/usr/local", "/usr/local/bin", "/usr/local/sbin", "/usr/sbin", "/usr/share",
    "/var", "/var/lib", "/var/log", "/var/run", "/var/tmp",
}  # fmt: skip
OF_SANDBOXES = (*SYSTEM_FOLDERS, "/dev", "/etc", "/proc", "/sys", "/run/kos")
NEVER_MOUNTED = ("/boot", "/etc", "/root", "/run", "/var/run", "/var/lib/docker")

HOST_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
REGISTRY = (  # Docker's own rule: a first part with a dot, a port, or localhost
    rf"(?:localhost(?::[0-9]{{1,5}})?|{HOST_PART}(?:\.{HOST_PART})+(?::[0-9]{{1,5}})?"
    rf"|{HOST_PART}:[0-9]{{1,5}})"
)
PATH_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
IMAGE = re.compile(
    rf"(?:(?P<registry>{REGISTRY})/)?{PATH_PART}(?:/{PATH_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
REGISTRIES = frozenset(
    {
        "docker.io", "ghcr.io", "quay.io", "registry.k8s.io", "public.ecr.aws",
        "mcr.microsoft.com", "gcr.io", "nvcr.io", "registry.gitlab.com", "localhost",
    }
)  # fmt: skip


def agent_id(name: str) -> str:
    if not AGENT_ID.fullmatch(name):
        raise ValueError(
            "must be 1 to 64 ASCII letters, digits, dots, dashes or underscores, "
            f"beginning with a letter or digit, not {shown(name)}"
        )
    if name in RESERVED_IDS:
        raise ValueError(f"{name} is a word of the API and cannot name an agent")
    return name


def label(name: str) -> str:
    """A capability, requirement or secret's name."""
    if not LABEL.fullmatch(name):
        raise ValueError(
            "must be 1 to 64 ASCII letters, digits or any of _ . : / + = -, "
            f"beginning with a letter or digit, not {shown(name)}"
        )
    return name


def tag(name: str) -> str:
    """Free words for people, up to 64 characters."""
    if said := unreadable(name):
        raise ValueError(f"{shown(name)} {said}")
    if not 1 <= len(name) <= 64:
        raise ValueError("must have 1 to 64 characters")
    return name


def secret(name: str) -> str:
    if not AGENT_ID.fullmatch(name):
        raise ValueError(f"{shown(name)} is not the name of a secret of this agent")
    return name


def user(name: str) -> str:
    if not USER.fullmatch(name):
        raise ValueError(f"{shown(name)} is not the name of a user")
    return name


def variable(name: str) -> str:
    """The name of an environment variable an agent may be given."""
    if not VARIABLE.fullmatch(name):
        raise ValueError(
            f"{shown(name)} is not the name of a variable: ASCII letters, digits and "
            "underscores, not beginning with a digit"
        )
    if name.startswith(HIJACKING_PREFIXES) or name in HIJACKING:
        raise ValueError(
            f"{name} may not be set: it changes what the program loads or runs, "
            "or is set by the scheduler"
        )
    return name


def program(path: str) -> str:
    """One program: an absolute path, or a bare name that is looked up on PATH."""
    if said := unreadable(path):
        raise ValueError(said)
    if not path:
        raise ValueError("must name a program")
    if SHELL_CHARACTERS.search(path):
        raise ValueError(
            f"is one program, not a command line: {shown(path)} holds an argument or "
            "a character of the shell; put arguments into args"
        )
    if "/" not in path:
        return _bare_program(path)
    return _program_path(path)


def _bare_program(name: str) -> str:
    if not PROGRAM.fullmatch(name) or name in (".", ".."):
        raise ValueError(f"{shown(name)} is not the name of one program")
    return name


def _program_path(path: str) -> str:
    absolute(path)
    plain = str(PurePosixPath(path))
    if path.endswith("/") or plain in FOLDERS:
        raise ValueError(f"{shown(path)} is a folder, not a program")
    if is_under(plain, KERNEL_FOLDERS):
        raise ValueError(f"{shown(path)} is a device or kernel file, not a program")
    return path


def absolute(path: str) -> str:
    """A path from the root that goes only down."""
    if said := unreadable(path):
        raise ValueError(said)
    parts = path.split("/")
    if not path.startswith("/"):
        raise ValueError(f"must be an absolute path, not {shown(path)}")
    if ".." in parts or "." in parts:
        raise ValueError(f'must not contain "." or ".." as a folder: {shown(path)}')
    if len(path.encode()) >= PATH_MAX or any(len(p.encode()) > NAME_MAX for p in parts):
        raise ValueError(
            f"is longer than a path may be ({PATH_MAX - 1} bytes, {NAME_MAX} a part)"
        )
    return path


def is_elsewhere(program: str) -> bool:
    """Whether a program lies outside of the folders that every sandbox sees."""
    return program.startswith("/") and not is_under(program, SYSTEM_FOLDERS)


def is_under(path: str, roots: tuple[str, ...]) -> bool:
    """Whether the path is one of the roots or inside one."""
    own = PurePosixPath(path)
    return any(own.is_relative_to(root) for root in roots)


def mount_source(path: str) -> str:
    """A folder of the host that may be shown to a container."""
    plain = str(PurePosixPath(absolute(path)))
    if plain == "/" or is_under(plain, KERNEL_FOLDERS + NEVER_MOUNTED):
        raise ValueError(f"{shown(path)} of the host may not be mounted")
    if plain.endswith("docker.sock"):
        raise ValueError("Docker's own socket may not be mounted")
    return path


def image(reference: str, registries: frozenset[str] = REGISTRIES) -> str:
    """registry/path:tag@sha256:…, from a registry on the list."""
    match = IMAGE.fullmatch(reference) if len(reference) <= 255 else None
    if match is None:
        raise ValueError(f"{shown(reference)} is not the name of an image")
    registry = match["registry"]
    if registry and registry.split(":")[0].lower() not in registries:
        raise ValueError(
            f"the registry {registry} is not on the list of allowed ones: "
            f"{', '.join(sorted(registries))}"
        )
    return reference


def container_user(text: str) -> str:
    """uid, name, uid:gid or name:group inside the container; never root."""
    parts = text.split(":")
    if len(parts) > 2 or not all(
        USER.fullmatch(p) or re.fullmatch(r"[0-9]{1,10}", p, re.ASCII) for p in parts
    ):
        raise ValueError(f"user {shown(text)} is not user or user:group")
    if any(p == "root" or (p.isdigit() and int(p) == 0) for p in parts):
        raise ValueError("a container never runs as root")
    return text
