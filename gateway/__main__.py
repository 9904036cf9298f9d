"""`enc-gateway` as a file for an isolated interpreter (gateway.sandbox.python): for units, which need no venv."""

import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])

from gateway.cli import main

sys.exit(main(prog_name="enc-gateway"))
