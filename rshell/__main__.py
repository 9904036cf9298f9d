"""The forced command. sshd runs this file with an isolated interpreter without `site`: `__main__.py gateway.toml`.

ForceCommand ignores SIGINT first (`trap`): Ctrl-C while Python starts would print a traceback.
"""

import gc
import os
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])

from rshell import bundle

gc.set_threshold(10_000)  # imports leave no garbage: to look for it every 700 objects would take 0.4 ms
bundle.load()

from gateway.base import signals  # noqa: E402
from gateway.errors import Interrupted  # noqa: E402

signals.block()

from rshell.front.main import main  # noqa: E402

try:
    status = main(sys.argv[1])
except Interrupted as late:  # everything is reported and recorded
    status = late.code

# Not sys.exit: to finalize the interpreter takes 1 to 2 ms, and we have no buffered output.
os._exit(status)
