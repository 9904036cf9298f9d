"""The places that the model test compares (tests/model.py): a view, an `enc mount`, and directories of the host."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.vault import defects, gocryptfs
from tests.harness import Gateway, Person
from tests.laptop import Laptop
from tests.life import connection
from tests.model import AGENT, Here, Knows
from tests.running import UnlockedProject

_DEFECTS = tuple(defects.found(defects.parse(gocryptfs.version_text())))
VIEW = Knows(links=defects.HARD_LINKS not in _DEFECTS, long_renames=defects.LOST_NAMES not in _DEFECTS)
MOUNT = Knows(
    links=VIEW.links,
    long_renames=VIEW.long_renames,
    modes=False,
    renameat2=False,
    xattrs=False,
    nanoseconds=False,
    link_times=False,
    errors=False,
)


@contextlib.contextmanager
def beside(gateway: Gateway, where: Path) -> Iterator[Here]:
    """A new directory of the host that belongs to the gateway's account: modes close things to it, and not to root."""
    where.mkdir()
    drop = []
    if os.geteuid() == 0:
        account = str(gateway.ready["account"])
        shutil.chown(where, account)
        drop = ["setpriv", "--reuid", account, "--clear-groups"]
    agent = where.with_suffix(".py")
    shutil.copy(AGENT, agent)
    with Here([*drop, "/usr/bin/python3", str(agent)], where).started() as made:
        yield made


@contextlib.contextmanager
def in_view(person: Person, project: str) -> Iterator[Here]:
    """The directory `d` of a project that is unlocked for the length of the block; it is made if it is not there."""
    with person.mounted(project) as held, connection(person) as shared:
        at = UnlockedProject(person.gateway, person, project, held, shared)
        at.put("agent.py", AGENT.read_text())
        words = at.words("sh", "-c", "mkdir -p d && cd d && exec python3 ../agent.py")
        with Here(person.argv(*words, extra=shared)).started() as made:
            yield made


@contextlib.contextmanager
def in_mount(mine: Laptop, where: Path) -> Iterator[tuple[Here, Here]]:
    """The project `files` of a laptop, mounted, and the new directory `where` of the same user."""
    where.mkdir()
    words = [sys.executable, str(AGENT)]
    with Here(words, where).started() as theirs, Here(words, mine.mount("files")).started() as ours:
        yield ours, theirs
