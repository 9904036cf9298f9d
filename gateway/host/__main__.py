"""For script/setup, before anything is installed: repair FUSE and user namespaces, with a line for each failure."""

import os
import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])

from gateway.errors import EncError
from gateway.host import fuse, userns


def main() -> int:
    """Repair as root; otherwise only check. Returns 69 (EX_UNAVAILABLE) when something does not work."""
    status = 0
    for step in (fuse.require, userns.require):
        try:
            step(repair=os.geteuid() == 0)
        except EncError as error:
            print(f"setup: {error.line()}", file=sys.stderr)
            status = 69
    return status


sys.exit(main())
