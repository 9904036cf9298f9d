"""Find, list and check vaults on disk. (`gateway.vault.lifecycle` creates and removes them.)

    <paths.vaults>/<principal directory>/<project>/
        vault.toml  cipher/  slots/  lock  holder

Nothing in a vault is secret, and all of it belongs to the gateway's account. Names that start with a dot are not
projects: `.new-...` is a vault that is being created, `.trash/` has the removed ones.
"""

from __future__ import annotations

import os
import stat

from gateway.base import files, toml
from gateway.base.records import Record
from gateway.errors import DamagedVault, NoSuchProject, Usage, is_storage_lost, of_storage
from gateway.identity.names import Named, Principal, ProjectName
from gateway.vault import damage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.base.records import Fd
    from gateway.identity.names import SlotName
    from gateway.vault.slots import stored

FORMAT = 1
HOLDER = "holder"
"""The file in a vault with the name of who has its lock (gateway.vault.lease)."""
HEARTBEATS = ".heartbeat"
"""In a principal's directory: a file of each live session, where several hosts share the vaults
(gateway.warden.cluster_watch).
"""
_PART_MISSING = "a part of its vault is missing or is not what it should be"
_RESTORE = "a sysadmin can restore it from a backup"


class Vault(Record):
    """The paths of a project's vault, and what its user calls it. `check` tells whether the vault is valid."""

    name: Named
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
    def holder(self) -> str:
        return os.path.join(self.path, HOLDER)

    @property
    def metadata(self) -> str:
        return os.path.join(self.path, "vault.toml")


def home(root: str, principal: Principal) -> str:
    """The directory of a principal's vaults; creates it if it is missing. Raises Misconfigured."""
    path = os.path.join(root, principal.directory)
    try:
        os.makedirs(path, 0o700, exist_ok=True)
    except OSError as error:
        raise of_storage(error, "the gateway cannot write its vault directory") from error
    return path


def homes(root: str) -> list[tuple[Principal, str]]:
    """Each principal and their directory. Other entries are skipped, links among them. Raises OSError."""
    found = []
    for name in sorted(os.listdir(root)):
        path = os.path.join(root, name)
        try:
            principal = Principal.of_directory(name)
        except Usage:
            continue
        if stat.S_ISDIR(os.lstat(path).st_mode):
            restore_directory_access(path)
            found.append((principal, path))
    return found


def names(principal_home: str) -> tuple[ProjectName, ...]:
    """The projects in a principal's directory, sorted. A symbolic link counts as well; `check` refuses it."""
    with os.scandir(principal_home) as entries:
        found = [
            entry.name
            for entry in entries
            if ProjectName.accepts(entry.name) and (entry.is_symlink() or entry.is_dir(follow_symlinks=False))
        ]
    return tuple(ProjectName(name) for name in sorted(found))


def find(principal_home: str, name: ProjectName) -> Vault:
    """The vault of project `name`. Raises NoSuchProject, Misconfigured."""
    vault = Vault(name=name, path=os.path.join(principal_home, name))
    if not is_there(vault):
        from gateway.identity import nearest  # only after a mistake

        raise no_such_project(name, nearest.closest(name, names(principal_home)))
    return vault


def is_there(vault: Vault) -> bool:
    """Whether the vault has a directory. Raises Misconfigured when the disk is lost, and nobody can tell."""
    try:
        return stat.S_ISDIR(os.stat(vault.path).st_mode)
    except OSError as error:
        if is_storage_lost(error):
            raise of_storage(error) from error
        return False


def no_such_project(name: Named, meant: str = "") -> NoSuchProject:
    """`meant`: the project of a similar name that the caller has."""
    hint = f"did you mean {meant}? " if meant else ""
    return NoSuchProject(f"you have no project {name}", f"{hint}`ls` lists your projects")


def restore_access(vault: Vault) -> None:
    """Make the ciphertext's top directory accessible again: `chmod 0 PROJECT` in the view also changes its mode."""
    restore_directory_access(vault.cipher)


def restore_directory_access(directory: str) -> bool:
    """Give the owner, which is us, all rights to `directory` again. Returns whether this changed anything."""
    try:
        mode = os.lstat(directory).st_mode
        if not stat.S_ISDIR(mode) or mode & stat.S_IRWXU == stat.S_IRWXU:
            return False
        os.chmod(directory, stat.S_IMODE(mode) | stat.S_IRWXU)
    except OSError:  # it is gone or not ours: the caller's next access reports that
        return False
    return True


def check(vault: Vault, is_copy: bool = False) -> tuple[stored.Slot, ...]:
    """The slots of the vault. Raises DamagedVault if the vault is not valid, Misconfigured; changes nothing.

    A vault has to belong to our account; a copy in a backup may belong to another.
    """
    from gateway.vault.slots import stored

    try:
        for path in (vault.path, vault.cipher, vault.slots):
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode):
                raise DamagedVault(f"{vault.name} is damaged: {os.path.basename(path)} is not a directory")
            if not is_copy and (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
                raise DamagedVault(
                    f"{vault.name} is damaged: {os.path.basename(path)} belongs to another account",
                    "a sysadmin can chown -R it to the gateway's account and group",
                )
        os.lstat(os.path.join(vault.cipher, "gocryptfs.diriv"))
    except OSError as error:
        raise damage.error(vault.name, _PART_MISSING, _RESTORE, error) from error
    about = read_metadata(vault)
    if "format" not in about:
        raise DamagedVault(f"{vault.name} is damaged: {_PART_MISSING}", _RESTORE)
    version = about["format"]
    if type(version) is not int or version != FORMAT:
        raise DamagedVault(f"{vault.name} has format {version}; this gateway only reads format {FORMAT}")
    return stored.load(vault.name, vault.slots, str(about.get("id")))


def read_metadata(vault: Vault) -> dict[str, toml.Value]:
    """What vault.toml says. Raises DamagedVault, Misconfigured."""
    try:
        content = files.read(vault.metadata, toml.MAX_BYTES).decode()
        return {key: located.value for key, located in toml.parse(content).items()}
    except (OSError, ValueError) as error:
        raise damage.error(vault.name, _PART_MISSING, _RESTORE, error) from error


def open_config(vault: Vault, slot: SlotName, slot_id: str | None = None) -> Fd:
    """The gocryptfs config of a slot in a memory file, which the caller closes. Raises DamagedVault, Misconfigured, and
    Busy if the slot has not the id `slot_id`: it was removed meanwhile, and its name is somebody else's.
    """
    from gateway.vault.slots import stored

    return stored.open_config(vault.name, vault.slots, slot, identity(vault), slot_id)


def identity(vault: Vault) -> str:
    """The vault's id: 16 hexadecimal digits. Raises DamagedVault, Misconfigured."""
    return str(read_metadata(vault).get("id"))


def idle_limit(vault: Vault) -> int:
    """The project's own idle limit in seconds; 0 if it has none and the gateway's applies."""
    seconds = read_metadata(vault).get("idle")
    return seconds if type(seconds) is int else 0


def set_idle_limit(vault: Vault, seconds: int) -> None:
    """Set the project's own idle limit. Raises DamagedVault, Misconfigured."""
    values = read_metadata(vault)
    try:
        files.replace(vault.metadata, toml.dump({**values, "idle": seconds}))
    except OSError as error:
        raise damage.error(vault.name, _PART_MISSING, _RESTORE, error) from error
