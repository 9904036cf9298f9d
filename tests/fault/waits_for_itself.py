"""What gocryptfs is for a moment at its start: a file system whose server waits for its own answer. Run as PID 1 of a
sandbox: waits_for_itself.py CHECKOUT
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import time

import fuse

sys.path.insert(0, sys.argv[1])

from gateway.vault.inside import private_view

VIEW = "/tmp/view"


class Server(fuse.Operations):  # type: ignore[misc]
    def getattr(self, path: str, fh: int | None = None) -> dict[str, object]:
        if path == "/never":
            print("it waits", flush=True)
            time.sleep(3600)
        if path != "/":
            raise fuse.FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}


def ask() -> None:
    while not os.path.ismount(VIEW):
        time.sleep(0.01)
    os.path.exists(f"{VIEW}/never")


def serve() -> int:
    os.mkdir(VIEW)
    threading.Thread(target=ask, daemon=True).start()
    fuse.FUSE(Server(), VIEW, foreground=True)
    return 0


if __name__ == "__main__":
    sys.exit(private_view.guard(serve, VIEW))
