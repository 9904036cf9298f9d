"""The dry run as a program: `why.py gateway.toml FD`. Prints one JSON object (rshell/front/dry_run.py).

The descriptor FD has what to try, as JSON. `enc-gateway why` runs this as the gateway's account: `gateway` must not
import `rshell`.
"""

import os
import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])

from rshell.front.dry_run import main

os._exit(main(sys.argv[1], int(sys.argv[2])))
