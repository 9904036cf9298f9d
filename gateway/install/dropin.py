"""The drop-in that opens the door: rendered for this installation, tried beside the others, and taken back at once
when sshd does not take it or when it would change anybody else's login.
"""

from __future__ import annotations

import os
import stat

from gateway.base import interpreter
from gateway.config.schema import Config
from gateway.errors import Misconfigured
from gateway.host import account, sshd, sshd_template
from gateway.install.files import File, read, write

OTHERS = ("root", "nobody")
"""Whose logins are compared before and after: a rule for all others holds for these."""
_VARIABLE = "ENC_USER"
_GLOBAL = frozenset({"permituserenvironment"})
"""What the drop-in has to set outside of its Match block: there it adds our variable, and takes nothing away."""


def render(config: Config, config_path: str) -> str:
    """The shipped drop-in with this installation's interpreter, code and paths."""
    words = [interpreter.program(), *interpreter.python("rshell/__main__.py", config_path)[1:]]
    return sshd_template.overridden(
        {
            "PermitUserEnvironment": _with_ours(_variables()),
            "Match": f"User {account.NAME}",
            "AuthorizedKeysFile": config.paths_authorized_keys,
            "ForceCommand": sshd_template.force_command(words),
        }
    )


def _variables() -> str:
    """What the sysadmin's PermitUserEnvironment is now; "no" when sshd does not say, and then setup goes no further."""
    try:
        return sshd.effective("root").get("permituserenvironment", "no")
    except Misconfigured:
        return "no"


def _with_ours(variables: str) -> str:
    """The sysadmin's own PermitUserEnvironment, which the drop-in stands before, and our variable."""
    if variables == "no":
        return _VARIABLE
    return variables if variables == "yes" or _VARIABLE in variables.split(",") else f"{variables},{_VARIABLE}"


class DropIn(File):
    """The file in /etc/ssh/sshd_config.d. Setting it up or removing it has sshd read its configuration again."""

    def __init__(self, config: Config, config_path: str) -> None:
        super().__init__(sshd.DROP_IN, render(config, config_path))
        self.done = ""

    def apply(self) -> None:
        """Raises Misconfigured, with everything as it was, when sshd or its other logins would suffer."""
        if self.missing():
            before = read(self.path)
            others = {name: sshd.effective(name) for name in OTHERS}
            try:
                self._try_beside()
                super().apply()
                _require_unharmed(others)
                self._require_effective()
            except BaseException:
                _restore(self.path, before)
                raise
            self.done = sshd.reload()

    def _try_beside(self) -> None:
        """Under a name that sshd_config does not include, before the real one: a crash leaves nothing that counts."""
        draft, trial = f"{self.path}.enc-trial", f"{self.path}.enc-trial-main"
        try:
            write(draft, self.text, 0o600)
            write(trial, f"Include {draft}\nInclude {sshd.CONFIG}\n", 0o600)
            if said := sshd.complaint(trial):
                raise Misconfigured("sshd does not take the drop-in", said)
        finally:
            for path in (draft, trial):
                if os.path.exists(path):
                    os.unlink(path)

    def _require_effective(self) -> None:
        if wrong := ineffective(self.text):
            hint = f"does {sshd.CONFIG} say `Include /etc/ssh/sshd_config.d/*.conf` first?"
            if wrong.keys() == _GLOBAL:  # the first value counts
                hint = f"a file before it sets PermitUserEnvironment: add {_VARIABLE} there, after a comma"
            raise Misconfigured(f"the drop-in has no effect on {', '.join(wrong)}", hint)

    def remove(self) -> None:
        """Raises Misconfigured, with the file where it was, when sshd would not take the rest without it."""
        if os.path.lexists(self.path):
            before, was_broken = read(self.path), bool(sshd.complaint())
            super().remove()
            said = sshd.complaint()
            if said and not was_broken:
                _restore(self.path, before)
                raise Misconfigured("sshd does not take its configuration without the drop-in", said)
            self.done = f"sshd was not reloaded: {said}" if said else sshd.reload()


def ineffective(text: str) -> dict[str, str]:
    """The keywords of the drop-in `text` that do not hold for a login as the gateway's account: how they are instead.

    Raises Misconfigured when sshd does not say.
    """
    effective = sshd.effective(account.NAME)
    found = {keyword: effective.get(keyword, "") for keyword in sshd_template.settings(text)}
    return {
        keyword: found[keyword] for keyword, value in sshd_template.settings(text).items() if found[keyword] != value
    }


def _require_unharmed(others: dict[str, dict[str, str]]) -> None:
    if said := sshd.complaint():
        raise Misconfigured("sshd does not take the drop-in", said)
    for name, before in others.items():
        after = sshd.effective(name)
        changed = {keyword for keyword in before.keys() | after.keys() if before.get(keyword) != after.get(keyword)}
        if changed - _GLOBAL:
            raise Misconfigured(
                f"the drop-in would change {min(changed - _GLOBAL)} for {name}, so it was not put there"
            )


def _restore(path: str, before: str | None) -> None:
    if before is not None:
        write(path, before, 0o644)
    elif os.path.exists(path):
        os.unlink(path)


def require_safe_code(config_path: str) -> None:
    """Raise Misconfigured unless only root can change what a login runs: whoever else can, is the gateway."""
    for path in (
        interpreter.program(),
        os.path.realpath(interpreter.program()),
        interpreter.code_root(),
        os.path.dirname(config_path),
    ):
        while path != "/":
            found = os.stat(path) if os.path.exists(path) else None
            sticky = found and stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
            if found and (found.st_uid != 0 or (found.st_mode & 0o022 and not sticky)):
                raise Misconfigured(f"{path} can be changed by others than root", "install ENC where only root writes")
            if found and not found.st_mode & 0o005:
                raise Misconfigured(f"{path} is closed to the account {account.NAME}", "install ENC where all can read")
            path = os.path.dirname(path)
