"""Vaults on disk: find, list, check, hold. (`gateway.vault.lifecycle` creates and removes them.)

    <paths.vaults>/<principal directory>/<project>/
        vault.toml  cipher/  slots/  lock

Nothing in a vault is secret, and all of it belongs to the gateway's account. Names starting with a dot are ours:
`.new-...` is a vault being made, `.trash/` holds removed ones.
"""

from __future__ import annotations

import os
import stat

from gateway.base import files, toml
from gateway.base.records import Record
from gateway.errors import DamagedVault, Misconfigured, NoSuchProject
from gateway.identity.names import Principal, ProjectName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.vault import slots

FORMAT = 1


class Vault(Record):
    """Where a project's vault lies. That it is sound is `check`'s to say."""

    name: ProjectName
    path: str

    @property
    def cipher(self) -> str:
        return os.path.join(self.path, "cipher")

    @property
    def slots(self) -> str:
        return os.path.join(self.path, "slots")

    @property
    def lock(self) -> str:
        return os.path.join(self.path, "lock")

    @property
    def metadata(self) -> str:
        return os.path.join(self.path, "vault.toml")


def home(root: str, principal: Principal) -> str:
    """The directory of a principal's vaults, made if it is missing. Raises Misconfigured."""
    path = os.path.join(root, principal.directory)
    try:
        os.makedirs(path, 0o700, exist_ok=True)
    except OSError as error:
        raise Misconfigured("the gateway cannot write its vault directory", error.strerror) from error
    return path


def names(home_: str) -> tuple[ProjectName, ...]:
    """The projects in a principal's directory, sorted. A link in the place of one counts: `check` says what it is."""
    with os.scandir(home_) as entries:
        found = [
            entry.name
            for entry in entries
            if ProjectName.accepts(entry.name) and (entry.is_symlink() or entry.is_dir(follow_symlinks=False))
        ]
    return tuple(ProjectName(name) for name in sorted(found))


def find(home_: str, name: ProjectName) -> Vault:
    """The vault of project `name`; raises NoSuchProject."""
    vault = Vault(name=name, path=os.path.join(home_, name))
    if not os.path.isdir(vault.path):
        raise missing(name)
    return vault


def missing(name: ProjectName) -> NoSuchProject:
    return NoSuchProject(f"you have no project {name}", "`ls` shows those you have")


def reopen(vault: Vault) -> None:
    """Give ourselves back the top directory of the ciphertext: `chmod 0 PROJECT` in its view was a chmod of that."""
    reopen_directory(vault.cipher)


def reopen_directory(directory: str) -> bool:
    """Whether `directory` was closed to its owner, us, and is open now."""
    try:
        mode = os.lstat(directory).st_mode
        if not stat.S_ISDIR(mode) or mode & stat.S_IRWXU == stat.S_IRWXU:
            return False
        os.chmod(directory, stat.S_IMODE(mode) | stat.S_IRWXU)
    except OSError:  # gone, or not ours: whoever needs it will say so
        return False
    return True


def check(vault: Vault) -> tuple[slots.Slot, ...]:
    """The slots of a vault that is whole; raises DamagedVault, and changes nothing."""
    from gateway.vault import slots

    try:
        for path in (vault.path, vault.cipher, vault.slots):
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode):
                raise DamagedVault(f"{vault.name} is damaged: {os.path.basename(path)} is not a directory")
            if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
                raise DamagedVault(
                    f"{vault.name} is damaged: {os.path.basename(path)} belongs to another account",
                    "a sysadmin can chown -R it to the gateway's account and group",
                )
        os.lstat(os.path.join(vault.cipher, "gocryptfs.diriv"))
        with open(vault.metadata, encoding="utf-8") as file:
            version = toml.parse(file.read())["format"].value
    except (OSError, toml.PlainTomlError, KeyError, UnicodeDecodeError) as error:
        raise DamagedVault(f"{vault.name} is damaged: a part of its vault is missing or unreadable") from error
    if type(version) is not int or version != FORMAT:
        raise DamagedVault(f"{vault.name} has format {version}, this gateway reads {FORMAT}")
    return slots.load(vault.slots)


def idle_limit(vault: Vault) -> int:
    """Seconds without use after which the project asks to be locked; 0 for the gateway's usual limit."""
    with open(vault.metadata, encoding="utf-8") as file:
        located = toml.parse(file.read()).get("idle")
    return located.value if located and type(located.value) is int else 0


def set_idle_limit(vault: Vault, seconds: int) -> None:
    """Give the project a limit of its own."""
    with open(vault.metadata, encoding="utf-8") as file:
        values = {key: located.value for key, located in toml.parse(file.read()).items()}
    files.replace(vault.metadata, toml.dump({**values, "idle": seconds}))
