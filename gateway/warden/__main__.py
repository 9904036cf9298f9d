"""Entry of the warden, run as a file by an isolated interpreter without `site` (gateway.sandbox.python)."""

import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])

from gateway.warden.warden import main

sys.exit(main(int(sys.argv[1])))
