"""The holder's folder, known by the lock in it that guard and holder keep open.

Somebody may delete the folder under a living holder, and another node may begin in a
new one of that name. The lock's inode tells the two apart, as long as we hold it.
"""

from __future__ import annotations

import os
import zlib


def is_ours(folder: str, lock_fd: int) -> bool:
    """Whether `folder` is still the one our lock is in."""
    try:
        return os.path.samestat(os.stat(f"{folder}/lock"), os.fstat(lock_fd))
    except OSError:
        return False


def node_name(folder: str, lock_fd: int) -> str:
    """Names the node's control groups: two nodes on one machine must not share."""
    name = f"{os.path.abspath(folder)}:{os.fstat(lock_fd).st_ino}"
    return f"{zlib.crc32(name.encode()):08x}"
