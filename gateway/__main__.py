"""`enc-gateway` as a file that an isolated interpreter can run, so that systemd units need no venv."""

import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])

from gateway.cli import main

sys.exit(main(prog_name="enc-gateway"))
