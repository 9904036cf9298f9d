"""Vaults on disk: find, list, check, hold. (`gateway.vaultmaking` creates and removes them.)

    <paths.vaults>/<principal directory>/<project>/
        vault.toml  cipher/  slots/  lock

Nothing in a vault is secret, and all of it belongs to the gateway's account. Names starting with a dot are ours:
`.new-...` is a vault being made, `.trash/` holds removed ones.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from gateway import plainjson, plaintoml
from gateway.errors import Busy, DamagedVault, Misconfigured, NoSuchProject
from gateway.names import Principal, ProjectName
from gateway.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway import slots

FORMAT = 1

_LEAST = 4096


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


class Holder(Record):
    """Who has a vault's view: session id, since when (UTC, RFC 3339), and the client's address."""

    session: str
    since: str
    address: str


def now() -> str:
    """UTC in RFC 3339, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def home(root: str, principal: Principal) -> str:
    """The directory of a principal's vaults, made if it is missing. Raises Misconfigured."""
    path = os.path.join(root, principal.directory)
    try:
        os.makedirs(path, 0o700, exist_ok=True)
    except OSError as error:
        raise Misconfigured("the gateway cannot write its vault directory", error.strerror) from error
    return path


def names(home_: str) -> tuple[ProjectName, ...]:
    """The projects in a principal's directory, sorted."""
    entries = (entry for entry in sorted(os.listdir(home_)) if ProjectName.accepts(entry))
    return tuple(ProjectName(entry) for entry in entries if os.path.isdir(os.path.join(home_, entry)))


def find(home_: str, name: ProjectName) -> Vault:
    """The vault of project `name`; raises NoSuchProject."""
    vault = Vault(name=name, path=os.path.join(home_, name))
    if not os.path.isdir(vault.path):
        raise _missing(name)
    return vault


def _missing(name: ProjectName) -> NoSuchProject:
    return NoSuchProject(f"you have no project {name}", "`ls` shows those you have")


def reopen(vault: Vault) -> None:
    """Give ourselves back the top directory of the ciphertext: `chmod 0 PROJECT` in its view was a chmod of that."""
    _reopen(vault.cipher)


def _reopen(directory: str) -> bool:
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
    from gateway import slots

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
            version = plaintoml.parse(file.read())["format"].value
    except (OSError, plaintoml.PlainTomlError, KeyError, UnicodeDecodeError) as error:
        raise DamagedVault(f"{vault.name} is damaged: a part of its vault is missing or unreadable") from error
    if type(version) is not int or version != FORMAT:
        raise DamagedVault(f"{vault.name} has format {version}, this gateway reads {FORMAT}")
    return slots.load(vault.slots)


def idle_limit(vault: Vault) -> int:
    """Seconds without use after which the project asks to be locked; 0 for the gateway's usual limit."""
    with open(vault.metadata, encoding="utf-8") as file:
        located = plaintoml.parse(file.read()).get("idle")
    return located.value if located and type(located.value) is int else 0


def set_idle_limit(vault: Vault, seconds: int) -> None:
    """Give the project a limit of its own."""
    with open(vault.metadata, encoding="utf-8") as file:
        values = {key: located.value for key, located in plaintoml.parse(file.read()).items()}
    draft = f"{vault.metadata}.new-{os.urandom(4).hex()}"  # its own name: two at once must not write into one file
    with open(draft, "x", encoding="utf-8") as file:
        file.write(plaintoml.dump({**values, "idle": seconds}))
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, vault.metadata)


def hold(vault: Vault, holder: Holder) -> int:
    """Take the vault for a session: a descriptor that holds it until it is closed.

    Raises Busy, naming who has it, NoSuchProject when it was removed since it was found, and DamagedVault when its
    lock is no file that can be locked.
    """
    try:
        fd = os.open(vault.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileNotFoundError as error:
        raise _missing(vault.name) from error
    except OSError as error:
        raise DamagedVault(f"{vault.name} is damaged: its lock cannot be opened", error.strerror) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        has = _read_holder(fd)
        os.close(fd)
        raise Busy(f"{vault.name} is unlocked already{_by(has)}", f"`unmount {vault.name}` locks it") from error
    if not _is_at(fd, vault.lock):  # a lock in the trash holds nothing of what has the name now
        os.close(fd)
        raise _missing(vault.name)
    os.ftruncate(fd, 0)
    try:
        os.pwrite(fd, plainjson.dumps(holder.as_dict()).encode(), 0)
    except OSError:
        return fd  # a full disk: held without a name, so that it can be unlocked to make room
    return fd


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def release(fd: int, stuck: bool = False) -> None:
    """Give back what `hold` returned. The lock file's time is when the vault was last used.

    `stuck`: the disk does not answer, so it is asked nothing, not even to close; the lock is free all the same.
    """
    if stuck:
        fcntl.flock(fd, fcntl.LOCK_UN)
        return
    try:
        os.ftruncate(fd, 0)
    except OSError:  # a disk that takes no writes: a name is left in the file, and holds nothing
        pass
    finally:
        os.close(fd)


def _read_holder(fd: int) -> Holder | None:
    try:
        return Holder(**plainjson.loads(os.pread(fd, 4096, 0)))
    except (ValueError, TypeError):
        return None


def _by(holder: Holder | None) -> str:
    return f" by session {holder.session} from {holder.address} since {holder.since}" if holder else ""


def last_used(vault: Vault) -> float:
    """Seconds since the epoch when the vault was last unlocked or locked (at first: created)."""
    try:
        return os.stat(vault.lock).st_mtime
    except OSError:
        return 0.0


def size(vault: Vault, seconds: float) -> tuple[int, bool]:
    """Bytes that the vault takes on disk, and whether that is all of it: counting stops after `seconds`. An entry that
    takes no block counts as one: a disk has a number of files as well as a size.

    A directory that its user closed is opened: what is in it counts.
    """
    deadline = time.monotonic() + seconds
    total = 0
    for used in _blocks(vault.path):
        total += used
        if time.monotonic() > deadline:
            return total, False
    return total, True


def _blocks(path: str) -> Iterator[int]:
    pending = [path]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        pending.append(entry.path)
                    yield max(found.st_blocks * 512, _LEAST)
        except PermissionError:
            if _reopen(directory):
                pending.append(directory)
        except OSError:  # removed while we counted: it does not count
            continue
