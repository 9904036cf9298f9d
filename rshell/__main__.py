"""The forced command. sshd runs this file with an isolated interpreter without `site`: `__main__.py gateway.toml`.

ForceCommand ignores SIGINT first (`trap`): Ctrl-C while Python starts would print a traceback.
"""

import os
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])

from gateway.base import signals
from gateway.errors import Interrupted

signals.hold()

from rshell.front.main import main  # noqa: E402

try:
    status = main(sys.argv[1])
except Interrupted as late:  # everything is reported and recorded
    status = late.code

# Not sys.exit: to finalize the interpreter takes 1 to 2 ms, and we have no buffered output.
os._exit(status)
