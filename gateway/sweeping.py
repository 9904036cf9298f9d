"""Clearing away what a crash left behind, and trash past its age. Never anything that is alive."""

from __future__ import annotations

import os
import shutil
import time

from gateway import sessions
from gateway.vaultmaking import DRAFT, TRASH

STALE_DRAFT = 3600
"""Seconds after which a vault that is still being made is one whose maker died: making one takes less than a second."""


def sweep(vaults_root: str, run: str, trash_days: int) -> dict[str, int]:
    """Remove dead sessions, half-made vaults and old trash; how many of each."""
    root = sessions.directory(run)
    before = len(os.listdir(root))
    sessions.live(run)
    counted = {"sessions": before - len(os.listdir(root)), "drafts": 0, "trash": 0}
    for principal in os.scandir(vaults_root) if os.path.isdir(vaults_root) else ():
        for kind, number in sweep_home(principal.path, trash_days).items():
            counted[kind] += number
    return counted


def sweep_home(home: str, trash_days: int) -> dict[str, int]:
    """The same for one principal's directory."""
    now = time.time()
    drafts = [entry.path for entry in os.scandir(home) if entry.name.startswith(DRAFT)]
    old = [path for path in drafts if now - os.lstat(path).st_ctime > STALE_DRAFT]
    trash = os.path.join(home, TRASH)
    thrown = [entry.path for entry in os.scandir(trash)] if os.path.isdir(trash) else []
    due = [path for path in thrown if now - os.lstat(path).st_ctime > trash_days * 86400]
    for path in (*old, *due):
        shutil.rmtree(path, ignore_errors=True)
    return {"drafts": len(old), "trash": len(due)}
