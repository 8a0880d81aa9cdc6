"""Hooks of a run that is somebody else's: all of them are done as that user; and what
they bring over https."""

from __future__ import annotations

import os
import pwd
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.authority import Authority
from tests.depot import open_depot
from tests.executors.harness import lacks
from tests.executors.test_systemd import open_folder  # noqa: F401
from tests.live.harness import Product, running_product
from tests.live.hook_bench import before, packed, preload, settled, sha, shell, work

USER = "nobody"
CONFIG = """
paths: {{archive_roots: [{0}/kept]}}
preload: {{private_hosts: [localhost]}}
security: {{run_as_users: [nobody]}}
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def product(
    authority: Authority,
    open_folder: Path,  # noqa: F811
) -> Iterator[Product]:
    """One that trusts that authority and may run programs as another user."""
    if os.geteuid() != 0:
        lacks("another user", "only root runs programs as one")
    (open_folder / "kept").mkdir()
    (open_folder / "config.yaml").write_text(CONFIG.format(open_folder))
    env = {
        "KOS_CONFIG": str(open_folder / "config.yaml"),
        "SSL_CERT_FILE": str(authority.file),
    }
    with running_product(open_folder, env=env) as product:
        yield product


def test_every_step_is_the_users_own_and_https_is_believed_or_not(
    product: Product, authority: Authority, tmp_path: Path
) -> None:
    model = packed(**{"weights.txt": "42"})
    said = 'id -u >>told; cat model/weights.txt >/dev/null; echo "$KOS_HOOK" >>told'
    with open_depot(authority.server("localhost")) as depot:
        depot.files["model.tar.gz"] = model
        hooks: list[dict[str, Any]] = [
            preload(depot.url("model.tar.gz"), sha256=sha(model), unpack=True),
            before("/bin/sh", "-c", said),
            shell("post-start", f"{said}; touch go"),
            shell("on-shutdown", said),
            {
                "when": "on-shutdown",
                "archive": {"what": ["told"], "to": f"{product.var.parent}/kept"},
            },
        ]
        program = "id -u >>told; while [ ! -e go ]; do sleep 0.1; done; touch model/x"
        argv = ("/bin/sh", "-c", program)
        product.register("users", *argv, run_as=USER, hooks=hooks)
        (uid,) = product.spawn("users")
        steps = settled(product, uid)
        run = product.run(uid)
    assert run["state"] == "succeeded", (run["reason"], product.output(uid, "err"))
    assert [step["outcome"] for step in steps] == ["done"] * 5, steps
    user, folder = pwd.getpwnam(USER), work(product, uid)
    lines = (folder / "told").read_text().split()
    assert sorted(lines) == sorted(
        [str(user.pw_uid)] * 4 + ["pre-start/2", "post-start/1", "on-shutdown/1"]
    )
    owners = {path.stat().st_uid for path in (folder, *folder.rglob("*"))}
    assert owners == {user.pw_uid}
    with tarfile.open(product.var.parent / "kept" / f"users-{uid}.tar.gz") as tar:
        assert tar.getnames() == ["work/told"]
    with open_depot(Authority(tmp_path, "stranger").server("localhost")) as depot:
        depot.files["model"] = b"weights"
        hook = preload(depot.url("model"))
        product.register("deceived", "/bin/true", run_as=USER, hooks=[hook])
        (uid,) = product.spawn("deceived")
        run = product.wait_for_end(uid)
    assert run["state"] == "failed"
    assert "its certificate is not trusted: unable to get local issuer" in run["reason"]
