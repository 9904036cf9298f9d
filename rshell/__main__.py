"""The forced command, run as a file by an isolated interpreter without `site`: `__main__.py gateway.toml`."""

import os
import sys
from _signal import SIG_DFL, SIGINT, signal  # type: ignore[import-not-found] # `signal` itself loads `enum`: 4 ms

signal(SIGINT, SIG_DFL)  # Ctrl-C while we start ends us, without a traceback
sys.path.insert(0, __file__.rsplit("/", 2)[0])

from rshell.main import main  # noqa: E402 - after the path is known

# Not sys.exit: taking the interpreter down costs 1 to 2 ms, and nothing of ours waits in a buffer.
os._exit(main(sys.argv[1]))
