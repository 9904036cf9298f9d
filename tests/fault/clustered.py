"""A host of a cluster on a faulty disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.fault.test_faulty_store import Disk
from tests.harness import Gateway, Person, eventually


@contextlib.contextmanager
def someone_on(
    disk: Disk, root: Path, shared: Path, vaults: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Person]:
    """Somebody with the project `work`, on a host of a cluster with these directories, of which some are on `disk`."""
    own = {"cluster.directory": str(shared), "cluster.host": "gw1", "cluster.address": "gw1.test:22"}
    host = Gateway(root, {**own, "paths.vaults": str(vaults), **(settings or {})}).start()
    try:
        someone = host.person("someone", principal="someone")
        eventually(lambda: someone.ssh("whoami").status == 0)
        someone.new("work")
        yield someone
    finally:
        disk.now("ok")
        host.stop()
