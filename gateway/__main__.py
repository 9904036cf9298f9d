"""`enc-gateway` run as a file by an isolated interpreter, for systemd units: they need no venv."""

import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])

from gateway.cli import main

sys.exit(main(prog_name="enc-gateway"))
