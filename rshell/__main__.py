"""The forced command, run as a file by an isolated interpreter without `site`: `__main__.py gateway.toml`."""

import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while we start ends us, without a traceback
sys.path.insert(0, __file__.rsplit("/", 2)[0])

from rshell.main import main  # noqa: E402 - after the path is known

sys.exit(main(sys.argv[1]))
