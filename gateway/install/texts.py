"""Texts of the small files that setup makes."""

from __future__ import annotations

from gateway.base import interpreter
from gateway.cluster import places
from gateway.config.schema import Config
from gateway.host import account

AUTHORIZED_KEYS = """\
# ENC: who may log in. One key a line, Ed25519 or sk-Ed25519. Keys of one person have the same ENC_USER:
# restrict,pty,environment="ENC_USER=dev1" ssh-ed25519 AAAA... dev1@laptop
"""


def tmpfiles(config: Config) -> str:
    """tmpfiles.d(5): make the run directory at boot, because it is on a tmpfs."""
    text = f"# From enc-gateway setup: live sessions.\nd {config.paths_run} 0700 {account.NAME} {account.NAME} -\n"
    if places.is_cluster(config):
        text += f"# The copy of what the hosts of the cluster share.\nd {places.copy(config)} 0755 root root -\n"
    return text


def _command() -> str:
    return " ".join([interpreter.program(), *interpreter.python("gateway/__main__.py")[1:]])


def follower(config_path: str) -> str:
    """The unit that keeps this host's copy of what the hosts of a cluster share. It has the mounts of the host, so that
    it sees a file system that is mounted anew.
    """
    return f"""\
# From enc-gateway setup.
[Unit]
Description=ENC: follow what the hosts of the cluster share
After=remote-fs.target network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={_command()} host follow --config {config_path}
Restart=always
RestartSec=1
TimeoutStopSec=10
OOMScoreAdjust=-900
MemoryMax=256M
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
"""


def service(config_path: str) -> str:
    """The unit that runs the housekeeping once."""
    command = _command()
    return f"""\
# From enc-gateway setup.
[Unit]
Description=ENC: remove leftovers of crashes, and rotate the audit log when it is due

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
