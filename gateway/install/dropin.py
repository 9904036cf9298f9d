"""sshd's drop-in, which lets people log in. It is rendered for this installation and tested beside the other files.

It is removed at once when sshd rejects it, or when it would change the logins of other accounts.
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
"""Accounts whose logins are compared before and after. A change for all other accounts shows in one of these."""
_VARIABLE = "ENC_USER"
_GLOBAL_KEYWORDS = frozenset({"permituserenvironment"})
"""Keywords that sshd takes only outside of a Match block. There we add our variable and keep the other values."""


def render(config: Config, config_path: str) -> str:
    """The shipped drop-in with this installation's interpreter, code and paths."""
    words = [interpreter.program(), *interpreter.python("rshell/__main__.py", config_path)[1:]]
    return sshd_template.overridden(
        {
            "PermitUserEnvironment": _with_ours(_permitted_variables()),
            "Match": f"User {account.NAME}",
            "AuthorizedKeysFile": config.paths_authorized_keys,
            "ForceCommand": sshd_template.force_command(words),
        }
    )


def _permitted_variables() -> str:
    """The present value of PermitUserEnvironment; "no" when sshd fails, in which case setup stops later."""
    try:
        return sshd.effective("root").get("permituserenvironment", "no")
    except Misconfigured:
        return "no"


def _with_ours(variables: str) -> str:
    """The present value with our variable added. The drop-in is read first, so it must repeat the sysadmin's value."""
    if variables == "no":
        return _VARIABLE
    return variables if variables == "yes" or _VARIABLE in variables.split(",") else f"{variables},{_VARIABLE}"


class DropIn(File):
    """The file in /etc/ssh/sshd_config.d. Applying or removing it reloads sshd; `outcome` says what came of that."""

    def __init__(self, config: Config, config_path: str) -> None:
        super().__init__(sshd.DROP_IN, render(config, config_path))
        self.outcome = ""

    def apply(self) -> None:
        """Raises Misconfigured and restores the previous state when sshd rejects it or other logins would change."""
        if self.apply_preview():
            before = read(self.path)
            others = {name: sshd.effective(name) for name in OTHERS}
            try:
                self._test_beside()
                super().apply()
                _require_unchanged(others)
                self._require_effective()
            except BaseException:
                _restore(self.path, before)
                raise
            self.outcome = sshd.reload()

    def _test_beside(self) -> None:
        """Test it under a name that sshd_config does not include: after a crash, the leftover file has no effect."""
        staged, trial = f"{self.path}.enc-trial", f"{self.path}.enc-trial-main"
        try:
            write(staged, self.text, 0o600)
            write(trial, f"Include {staged}\nInclude {sshd.CONFIG}\n", 0o600)
            if error := sshd.config_error(trial):
                raise Misconfigured("sshd rejects the drop-in", error)
        finally:
            for path in (staged, trial):
                if os.path.exists(path):
                    os.unlink(path)

    def _require_effective(self) -> None:
        if wrong := ineffective(self.text):
            hint = f"{sshd.CONFIG} must begin with `Include /etc/ssh/sshd_config.d/*.conf`"
            if wrong.keys() == _GLOBAL_KEYWORDS:  # sshd uses the first value
                hint = f"an earlier file sets PermitUserEnvironment: add {_VARIABLE} there, after a comma"
            raise Misconfigured(f"the drop-in has no effect on {', '.join(wrong)}", hint)

    def remove(self) -> None:
        """Raises Misconfigured and restores the file when sshd rejects the remaining configuration."""
        if os.path.lexists(self.path):
            before, was_broken = read(self.path), bool(sshd.config_error())
            super().remove()
            error = sshd.config_error()
            if error and not was_broken:
                _restore(self.path, before)
                raise Misconfigured("sshd rejects its configuration without the drop-in", error)
            self.outcome = f"sshd was not reloaded: {error}" if error else sshd.reload()


def ineffective(text: str) -> dict[str, str]:
    """The keywords of the drop-in `text` that are not in effect for a login as the gateway's account, with the values
    that are ("": not set). Raises Misconfigured when sshd fails.
    """
    effective = sshd.effective(account.NAME)
    found = {keyword: effective.get(keyword, "") for keyword in sshd_template.settings(text)}
    return {
        keyword: found[keyword] for keyword, value in sshd_template.settings(text).items() if found[keyword] != value
    }


def _require_unchanged(others: dict[str, dict[str, str]]) -> None:
    if error := sshd.config_error():
        raise Misconfigured("sshd rejects the drop-in", error)
    for name, before in others.items():
        after = sshd.effective(name)
        changed = {keyword for keyword in before.keys() | after.keys() if before.get(keyword) != after.get(keyword)}
        if changed - _GLOBAL_KEYWORDS:
            raise Misconfigured(
                f"the drop-in would change {min(changed - _GLOBAL_KEYWORDS)} for {name}, so it was not installed"
            )


def _restore(path: str, before: str | None) -> None:
    if before is not None:
        write(path, before, 0o644)
    elif os.path.exists(path):
        os.unlink(path)


def require_safe_code(config_path: str) -> None:
    """Raise Misconfigured unless only root can change the code and configuration of a login, and the account can read
    them. Whoever can change them controls the gateway.
    """
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
                raise Misconfigured(
                    f"{path} can be changed by others than root", "install ENC where only root can write"
                )
            if found and not found.st_mode & 0o005:
                raise Misconfigured(
                    f"the account {account.NAME} cannot read {path}", "install ENC where every account can read"
                )
            path = os.path.dirname(path)
