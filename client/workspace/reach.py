"""Reaching a workspace: its host key over the outer connection, and a channel into it."""

from __future__ import annotations

import os
import re

from client.connection import request, ssh, ssh_errors
from client.errors import FromGateway
from client.state import store as stores
from client.state.config import Profile
from client.workspace import files

_HOST_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{68}")


def meet(profile: Profile, project: str, home: bool) -> None:
    """Have the workspace begin, if there is none, with a home in the project if it is to have one; and note its host
    key. Raises EncError.
    """
    answer = request.ask(profile, "workspace", project, *_flags(home))
    if not _HOST_KEY.fullmatch(str(answer["host_key"])):
        raise FromGateway("the gateway's answer has no proper host key", "is it an ENC gateway?", 70, "unknown")
    files.note_host_key(files.alias(profile, project), str(answer["host_key"]))


def become_channel(profile: Profile, project: str, home: bool) -> None:
    """Become the ssh whose standard input and output are those of the workspace's sshd. Does not return. Raises
    EncError.
    """
    meet(profile, project, home)
    words = ssh.command_line(["workspace", project, files.public_key(), *_flags(home)])
    store = stores.connected(profile)
    outer = [*ssh.shared(store), "-T", "--", "enc"] if store else [*ssh.direct(profile), "-T", "--", profile.host]
    try:
        os.execvp(ssh.SSH, [*outer, *words])  # noqa: S606 - without a shell
    except FileNotFoundError as error:
        raise ssh_errors.not_installed() from error


def _flags(home: bool) -> list[str]:
    return ["--home"] if home else []


def ssh_words() -> list[str]:
    """The stock ssh for a workspace, with our configuration alone: words up to the host."""
    return [ssh.SSH, "-F", files.ssh_config()]
