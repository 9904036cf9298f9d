"""What stands in the small files that setup makes."""

from __future__ import annotations

from gateway.base import interpreter
from gateway.config.schema import Config
from gateway.host import account

AUTHORIZED_KEYS = """\
# ENC: who may come in. One line a key, Ed25519 or sk-Ed25519; keys of one person share their ENC_USER:
# restrict,pty,environment="ENC_USER=dev1" ssh-ed25519 AAAA... dev1@laptop
"""


def tmpfiles(config: Config) -> str:
    """tmpfiles.d(5): the run directory, which is on a tmpfs."""
    return f"# From enc-gateway setup: live sessions.\nd {config.paths_run} 0700 {account.NAME} {account.NAME} -\n"


def service(config_path: str) -> str:
    """A unit that does the housekeeping once."""
    command = " ".join([interpreter.program(), *interpreter.python("gateway/__main__.py")[1:]])
    return f"""\
# From enc-gateway setup.
[Unit]
Description=ENC: clear away what crashes left behind, and rotate the audit log when it is due

[Service]
Type=oneshot
User={account.NAME}
ExecStart={command} sweep --config {config_path}
ExecStart={command} audit rotate --due --config {config_path}
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
"""


TIMER = """\
# From enc-gateway setup.
[Unit]
Description=ENC: housekeeping

[Timer]
OnBootSec=10min
OnUnitActiveSec=10min

[Install]
WantedBy=timers.target
"""
