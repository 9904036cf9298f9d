"""A dry run, as a file: `why.py gateway.toml FD`, with what to try as JSON behind the descriptor FD.

Started by `enc-gateway why` as the gateway's account, for `gateway` imports nothing of ours. It prints one JSON object
(rshell/front/dry_run.py).
"""

import os
import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])

from rshell.front.dry_run import main

os._exit(main(sys.argv[1], int(sys.argv[2])))
