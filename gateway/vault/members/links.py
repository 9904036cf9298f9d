"""What is shared with a principal, in the directory of their own vaults: `.shared/<owner's directory>/<project>`.

Such a file is an index: with it, nobody has to look through the vaults of others to find those that are shared with
them. Whether it is so, the slots of the vault say (gateway.vault.members.membership), with which
gateway.vault.members.repair makes the links agree.
The file says the role, and until when an invitation is good.
"""

from __future__ import annotations

import os

from gateway.base import files
from gateway.base.records import Record
from gateway.errors import Usage, is_storage_lost, of_storage
from gateway.identity.names import Principal, ProjectName, SharedName

DIRECTORY = ".shared"
_MAX_BYTES = 256


class Link(Record):
    """`role` is a word of gateway.vault.slots.stored.Role; `invited_until` (UTC, RFC 3339) is "" for a member."""

    name: SharedName
    role: str
    invited_until: str


def directory(root: str, member: Principal) -> str:
    """Where the links of `member` are, in the directory `root` of all vaults."""
    return os.path.join(root, member.directory, DIRECTORY)


def _path(root: str, member: Principal, name: SharedName) -> str:
    return os.path.join(directory(root, member), name.owner.directory, name.project)


def put(root: str, member: Principal, link: Link) -> None:
    """Raises Misconfigured."""
    path = _path(root, member, link.name)
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        files.replace(path, f"{link.role} {link.invited_until}\n")
    except OSError as error:
        raise of_storage(error, "the gateway cannot write its vault directory") from error


def remove(root: str, member: Principal, name: SharedName) -> None:
    """Remove it if it is there; what cannot be removed is found by gateway.vault.members.repair."""
    path = _path(root, member, name)
    try:
        os.unlink(path)
        os.rmdir(os.path.dirname(path))
    except OSError:
        return


def exists(root: str, member: Principal, name: SharedName) -> bool:
    """Whether anything has the place of that link."""
    return os.path.lexists(_path(root, member, name))


def find(root: str, member: Principal, name: SharedName) -> Link | None:
    """The link of that name, if there is one. Raises Misconfigured when the disk is lost, and nobody can tell."""
    try:
        words = files.read(_path(root, member, name), _MAX_BYTES).decode().split(" ")
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and is_storage_lost(error):
            raise of_storage(error) from error
        return None
    return Link(name=name, role=words[0].strip(), invited_until=words[-1].strip() if len(words) > 1 else "")


def owners(root: str, member: Principal) -> tuple[Principal, ...]:
    """Who shares something with `member`."""
    found = []
    for entry in _names(directory(root, member)):
        try:
            found.append(Principal.of_directory(entry))
        except Usage:  # nothing of ours
            continue
    return tuple(found)


def of(root: str, member: Principal) -> tuple[Link, ...]:
    """All that is shared with `member`, sorted."""
    return tuple(filter(None, (find(root, member, name) for name in names(root, member))))


def names(root: str, member: Principal) -> tuple[SharedName, ...]:
    """The names of all that is shared with `member`, sorted, whether their links can be read or not."""
    return tuple(name for owner in owners(root, member) for name in of_owner(root, member, owner))


def of_owner(root: str, member: Principal, owner: Principal) -> tuple[SharedName, ...]:
    """What `owner` shares with `member`, sorted."""
    found = _names(os.path.join(directory(root, member), owner.directory))
    return tuple(SharedName.made_of(owner, ProjectName(name)) for name in found if ProjectName.accepts(name))


def has_accepted(root: str, member: Principal, owner: Principal) -> bool:
    """Whether `member` is more than invited to something of `owner`."""
    found = (find(root, member, name) for name in of_owner(root, member, owner))
    return any(one is not None and not one.invited_until for one in found)


def _names(where: str) -> list[str]:
    try:
        return sorted(os.listdir(where))
    except OSError:  # nobody shares anything, or it is no directory
        return []
