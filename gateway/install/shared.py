"""What belongs on the store that the hosts of a cluster share, and on each of them because of it.

Removing the gateway from one host takes nothing from the others: what is shared stays.
"""

from __future__ import annotations

import os

from gateway.audit import verification
from gateway.base.records import Record
from gateway.cluster import audit_copy, places
from gateway.config import editing, loader
from gateway.config.schema import Config
from gateway.errors import Misconfigured
from gateway.host import account
from gateway.identity import strict_modes
from gateway.install import texts
from gateway.install.files import Conffile, File, Link, read
from gateway.install.items import Account, Directory, Item, RuntimeDirectory

COPY = "/run/enc-cluster"
"""The directory of a host's copy, on a tmpfs."""
SERVICE = "enc-follow.service"


class Joining(Record):
    """A host that becomes one of a cluster: the directory on the shared file system, its name and its address."""

    directory: str
    host: str
    address: str

    def configure(self, text: str, source: str) -> str:
        """The gateway.toml `text` as such a host has it. Raises Misconfigured."""
        shared = os.path.join(self.directory, "cluster")
        values = {
            "paths.vaults": os.path.join(self.directory, "vaults"),
            "paths.authorized_keys": os.path.join(COPY, places.KEYS),
            "paths.enrolments": os.path.join(self.directory, "enrolments"),
            "paths.pause": os.path.join(shared, "paused"),
            "cluster.directory": shared,
            "cluster.host": self.host,
            "cluster.address": self.address,
        }
        return editing.with_values(text, values, source)

    def is_of(self, before: Config) -> bool:
        """Whether the host with that configuration is one of this cluster."""
        return before.cluster_directory == os.path.join(self.directory, "cluster")


def require(joining: Joining, before: Config) -> None:
    """Raise Misconfigured when the host cannot join: `before` is its configuration until now."""
    directory = joining.directory
    if not os.path.isdir(directory):
        raise Misconfigured(f"there is no directory {directory}", "mount the shared file system there first")
    found = os.stat(directory)
    if found.st_uid != 0 or found.st_mode & 0o022 or not found.st_mode & 0o001:
        raise Misconfigured(
            f"{directory} must belong to root, and others may enter but not write to it",
            f"chown root {directory}; chmod 755 {directory}",
        )
    for weak in strict_modes.examine(directory):
        raise Misconfigured(weak.problem, weak.fix)
    theirs = os.path.join(directory, "vaults")
    if before.paths_vaults != theirs and _has_projects(before.paths_vaults):
        raise Misconfigured(
            f"this host has projects in {before.paths_vaults}, which nobody would find any more",
            "`enc-gateway backup` copies them, and `enc-gateway restore` puts them into the cluster",
        )
    after = loader.parse(joining.configure("", ""))
    if (before.cluster_directory, before.cluster_host) != (after.cluster_directory, after.cluster_host):
        _require_free_name(after, before.paths_audit)


def require_store(config: Config) -> None:
    """Raise Misconfigured when what setup has made on the store is not there: on the empty mount point it would make a
    second, empty cluster, which only this host sees. Always passes on a host that is alone.
    """
    if not places.is_cluster(config):
        return
    for path in (config.cluster_directory, config.paths_vaults):
        try:
            os.stat(path)
        except FileNotFoundError as error:
            raise Misconfigured(
                f"the shared file system is not mounted: there is no {path}", "mount it first, then run setup again"
            ) from error
        except OSError as error:
            raise Misconfigured(f"{path}: {error.strerror}", "mount the shared file system anew first") from error


def _require_free_name(after: Config, log: str) -> None:
    """Raise Misconfigured when the host that joins has the name of another one, or of one whose audit log is not
    continued by its own `log`.
    """
    host = after.cluster_host
    record, copy = places.record(after, host), places.audit(after, host)
    if os.path.lexists(record):
        raise Misconfigured(
            f"the cluster has a host {host} already",
            f"choose another --host; if {host} is gone for good, remove its record first: rm {record}",
        )
    if os.path.lexists(copy) and not _continues(log, copy):
        raise Misconfigured(
            f"{copy} is of an earlier host {host}, and this host's audit log does not continue it",
            "choose another --host, or put that log back here first (docs/cluster.md, Remove a host)",
        )


def _continues(log: str, copy: str) -> bool:
    """Whether the newest record of the copy is in the log."""
    newest = audit_copy.newest(copy)
    try:
        return not newest.number or verification.verify_after(log, newest).lines > 0
    except FileNotFoundError:
        return False


def _has_projects(vaults: str) -> bool:
    try:
        return any(not name.startswith(".") for name in os.listdir(vaults))
    except OSError:
        return False


class SharedAccount(Account):
    """The gateway's account, with the ids that it has on the other hosts: they own what is shared."""

    def __init__(self, vaults: str) -> None:
        super().__init__(vaults)
        self._vaults = vaults

    def apply_preview(self) -> str:
        ids, there = self._ids(), account.find()
        if there and ids and (there.pw_uid, there.pw_gid) != ids:
            raise Misconfigured(
                f"the account {account.NAME} has uid {there.pw_uid} and gid {there.pw_gid} here, {ids[0]} and {ids[1]} "
                "on the other hosts",
                f"groupmod -g {ids[1]} {account.NAME}; usermod -u {ids[0]} {account.NAME}; then chown what it owned",
            )
        if ids and not there and (taken := account.taken_by(ids)):
            raise Misconfigured(
                f"{account.NAME} has uid {ids[0]} and gid {ids[1]} on the other hosts; here {taken} has that",
                "free them here, or give the account ids on all hosts that are free everywhere",
            )
        return super().apply_preview()

    def apply(self) -> None:
        account.make(self._ids())

    def _ids(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._vaults)
        except FileNotFoundError:
            return None
        return (found.st_uid, found.st_gid) if found.st_uid else None

    def remove_preview(self) -> str:
        return ""

    def remove(self) -> None:
        return


class SharedDirectory(Directory):
    """A directory that stays, for the other hosts."""

    def remove_preview(self) -> str:
        return ""

    def remove(self) -> None:
        return


class SharedFile(File):
    """A file that the first host makes, that sysadmins edit, and that stays for the other hosts."""

    def apply_preview(self) -> str:
        return "" if os.path.lexists(self.path) else super().apply_preview()

    def remove_preview(self) -> str:
        return ""

    def remove(self) -> None:
        return


class OwnRecord:
    """What this host has told the others. The running gateway writes it; it goes with the gateway."""

    def __init__(self, settings: Config) -> None:
        self._path = places.record(settings, settings.cluster_host)

    def apply_preview(self) -> str:
        return ""

    def apply(self) -> None:
        return

    def remove_preview(self) -> str:
        return f"- {self._path}" if os.path.lexists(self._path) else ""

    def remove(self) -> None:
        if os.path.lexists(self._path):
            os.unlink(self._path)


class Configuration(Conffile):
    """gateway.toml, of which setup changes what makes this host one of a cluster, and nothing else."""

    def __init__(self, path: str, template: str, kept_directory: str, joining: Joining) -> None:
        super().__init__(path, template, kept_directory)
        self._wanted = File(path, joining.configure(read(path) or template, path))

    def apply_preview(self) -> str:
        return self._wanted.apply_preview()

    def apply(self) -> None:
        self._wanted.apply()

    def settings(self) -> Config:
        """What it says once it is applied."""
        return loader.parse(self._wanted.text)


def items(settings: Config, keys_before: str) -> tuple[Item, ...]:
    """What is shared, and this host's copy of it. The keys of the first host, in `keys_before`, become those of all."""
    shared = settings.cluster_directory
    return (
        *(SharedDirectory(path, private=True) for path in (settings.paths_vaults, settings.paths_enrolments)),
        *(SharedDirectory(path) for path in (shared, *(os.path.join(shared, name) for name in places.SHARED))),
        SharedFile(places.keys(settings), read(keys_before) or texts.AUTHORIZED_KEYS),
        OwnRecord(settings),
        RuntimeDirectory(places.copy(settings)),
    )


def units(directory: str, config_path: str) -> tuple[Item, ...]:
    """What has systemd follow the others."""
    return (
        File(f"{directory}/{SERVICE}", texts.follower(config_path)),
        Link(f"{directory}/multi-user.target.wants/{SERVICE}", f"../{SERVICE}"),
    )
