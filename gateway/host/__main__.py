"""For script/setup, before anything is installed: put FUSE and user namespaces right, one line for each that is not."""

import os
import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])

from gateway.errors import EncError
from gateway.host import fuse, userns


def main() -> int:
    """As root it repairs, for others it says what is wrong; 69 (EX_UNAVAILABLE) when something stays so."""
    status = 0
    for step in (fuse.ready, userns.ready):
        try:
            step(repair=os.geteuid() == 0)
        except EncError as error:
            print(f"setup: {error.line()}", file=sys.stderr)
            status = 69
    return status


sys.exit(main())
