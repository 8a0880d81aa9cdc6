"""The systemd of one user, with a D-Bus of its own, on a booted machine for tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from agents.executors.base import Unavailable
from agents.executors.systemd_bus import Property, connect
from tests.executors.harness import WITHIN_S
from tests.executors.systemd_host import SystemdHost
from tests.waiting import wait_for

UNITS = {
    "basic.target": "[Unit]\nDefaultDependencies=no\nWants=dbus.socket\n",
    "dbus.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=%t/bus\n",
    "dbus.service": (
        "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n"
        "[Service]\nType=notify\nExecStart=/usr/bin/dbus-daemon --session "
        "--address=systemd: --nofork --nopidfile --systemd-activation --syslog-only\n"
    ),
}


class UserSystemd:
    """`systemd --user` of a user id, as user@.service of a machine starts it. `runtime`
    is its XDG_RUNTIME_DIR, as seen from out here."""

    def __init__(self, host: SystemdHost, uid: int) -> None:
        self.host, self.uid = host, uid
        self.runtime = host.folder / "run" / "user" / str(uid)
        self._lay_out()
        asyncio.run(self._start())
        wait_for((self.runtime / "bus").exists, timeout_s=WITHIN_S)

    def _lay_out(self) -> None:
        units = self.runtime / "units"
        units.mkdir(parents=True)
        self.runtime.chmod(0o700)
        self.host.folder.parent.chmod(0o711)  # pytest's own is closed to others
        for name, text in UNITS.items():
            (units / name).write_text(text)
        for path in (self.runtime, units, *units.iterdir()):
            os.chown(path, self.uid, self.uid)

    async def _start(self) -> None:
        inside = f"/run/user/{self.uid}"
        argv = ["systemd", "--user", "--unit=basic.target", "--log-target=null"]
        env = [f"XDG_RUNTIME_DIR={inside}", f"HOME={inside}", "PATH=/usr/bin:/bin"]
        properties: list[Property] = [
            ("ExecStart", "a(sasb)", [["/lib/systemd/systemd", argv, False]]),
            ("Environment", "as", [*env, f"SYSTEMD_UNIT_PATH={inside}/units"]),
            ("User", "s", str(self.uid)),
            ("Type", "s", "notify"),
            ("Delegate", "b", True),
        ]
        bus = await connect(self.host.bus, lambda event: None)
        await bus.start_unit(f"user-{self.uid}.service", properties)
        bus.close()

    def is_reached(self, ensure: Callable[[], None]) -> bool:
        """The first who calls has the bus started, and then systemd comes to it."""
        with contextlib.suppress(Unavailable):
            ensure()
            return True
        return False
