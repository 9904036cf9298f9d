"""Ceph: this host's client there, and putting a client out. Only this module runs `ceph`.

What is put out cannot write any more: the OSDs have its address on their blocklist before anybody else gets its locks.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os

from gateway.base import process
from gateway.base.records import Record
from gateway.cluster import mount_table
from gateway.errors import Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

CEPH = "/usr/bin/ceph"
_CLIENT = "client"
_XATTR = "ceph.client_id"
"""Of each file, for the client that asks: "client" and its number, which it gets anew with each mount."""
_SECONDS = 30.0
_SNAPSHOTS = ".snap"
_CONNECT_SECONDS = "5"
KINDS = ("ceph", "fuse.ceph-fuse", "fuse.ceph")
"""The types of its file systems, by the kernel's client and ceph-fuse."""
_ENTITY_FLAGS = ("-n", "--name", "--id", "-i", "--user")


class Client(Record):
    """A client of the file system `fs`: its number, the name of its cephx key (entity), its address and host."""

    number: int
    fs: str
    entity: str
    address: str
    hostname: str


class Timeouts(Record):
    """Of the file system `fs`: seconds without an answer after which a client's locks are taken, and it is put out."""

    fs: str
    timeout: int
    autoclose: int


class Eviction(Record):
    """What came of `evict`: the client if it was connected, and what the OSDs have of it on their blocklist."""

    client: Client | None
    blocked: tuple[str, ...]


def client_name(directory: str) -> str:
    """The name of the client by which this host sees `directory`, as in client4305; "" if that is not Ceph's."""
    try:
        return os.getxattr(directory, _XATTR).decode("ascii", "replace").rstrip("\0")
    except OSError:
        return ""


def entity(directory: str) -> str:
    """The name of the cephx key (without "client.") with which `directory` is mounted; "" if that is not seen."""
    mount = mount_table.of(directory)
    for option in mount.options:
        if mount.kind == "ceph" and option.startswith("name="):
            return option.removeprefix("name=")
    if mount.kind not in KINDS[1:]:
        return ""
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            words = file.read(1 << 16).split("\0")
            if os.path.basename(words[0]) == "ceph-fuse" and mount.point in (word.rstrip("/") for word in words[1:]):
                return entity_in(words)
    return ""


def entity_in(words: list[str]) -> str:
    """The same from the command line of a ceph-fuse."""
    for word, following in itertools.pairwise([*words, ""]):
        flag, equals, value = word.partition("=")
        if flag in _ENTITY_FLAGS:
            return (value if equals else following).removeprefix("client.")
    return "admin"


def setting(conf: str, name: str, key: str) -> str:
    """The value of an option of clients in the text of a ceph.conf, in lower case; "" if it is not there. `key` is the
    entity whose own section counts first.
    """
    found: dict[str, str] = {}
    section = ""
    for line in conf.splitlines():
        text = line.partition("#")[0].partition(";")[0].strip()
        if text.startswith("["):
            section = text.strip("[] ")
        option, equals, value = text.partition("=")
        if equals and option.strip().replace(" ", "_").replace("-", "_") == name:
            found[section] = value.strip().strip("\"'").lower()
    return next((found[one] for one in (f"client.{key}", "client", "global") if one in found), "")


def timeouts(key: str) -> tuple[Timeouts, ...]:
    """Of all file systems that the cephx key `key` ("": the usual one) shows. Raises Misconfigured."""
    found = []
    who = ("--id", key) if key else ()
    for fs in _list(_ask("fs", "ls", *who)):
        name = str(fs.get("name", ""))
        got = _ask("fs", "get", name, *who)
        try:
            about = got["mdsmap"]  # type: ignore[index]
            timeout, autoclose = int(about["session_timeout"]), int(about["session_autoclose"])
        except (KeyError, ValueError, TypeError) as error:
            raise Misconfigured("`ceph fs get` said what nobody understands") from error
        found.append(Timeouts(fs=name, timeout=timeout, autoclose=autoclose))
    return tuple(found)


def is_on(option: str, key: str) -> bool:
    """Whether the monitors tell the MDSs that this option of theirs is on: what is in a ceph.conf or set for one MDS
    alone is not seen. An option that this Ceph does not know is off. `key` as for `timeouts`. Raises Misconfigured.
    """
    try:
        return _output("config", "get", "mds", option, *(("--id", key) if key else ())).strip() == "true"
    except Misconfigured as error:
        if "unrecognized key" in error.line():
            return False
        raise


def make_snapshot(directory: str, name: str) -> str:
    """Have CephFS keep what is in `directory` now. Returns the path where that is, which os.rmdir removes. Raises
    OSError: EPERM for a cephx key without the flag s.
    """
    path = os.path.join(directory, _SNAPSHOTS, name)
    os.mkdir(path)
    return path


def evict(name: str) -> Eviction:
    """Have Ceph put the client `name` out. Raises Misconfigured when Ceph cannot be asked, or refuses."""
    number = name.removeprefix(_CLIENT)
    if not number.isdecimal():
        raise Misconfigured(f"{name or 'nothing'} is no client of Ceph's")
    found = next((one for one in _clients() if one.number == int(number)), None)
    if found:
        _ask("tell", f"mds.{found.fs}:0", "client", "evict", f"id={found.number}")
    return Eviction(client=found, blocked=tuple(_blocked(found.address)) if found else ())


def _clients() -> Iterator[Client]:
    """The clients of all file systems: each has a session with the MDS of rank 0, which has the root directory."""
    for fs in _list(_ask("fs", "ls")):
        name = str(fs.get("name", ""))
        for one in _list(_ask("tell", f"mds.{name}:0", "client", "ls")):
            yield _client(name, one)


def _client(fs: str, values: dict[str, Any]) -> Client:
    try:
        about = values.get("client_metadata", {})
        addresses = str(values["inst"]).split()
        return Client(
            number=int(values["id"]),
            fs=fs,
            entity=str(about.get("entity_id", "")),
            address=addresses[-1],
            hostname=str(about.get("hostname", "")),
        )
    except (KeyError, ValueError, AttributeError, IndexError) as error:
        raise Misconfigured("`ceph tell mds client ls` said what nobody understands") from error


def _blocked(address: str) -> Iterator[str]:
    """The lines of the OSDs' blocklist with that address."""
    for one in _list(_ask("osd", "blocklist", "ls")):
        if str(one.get("addr", "")) == address:
            yield f"{one['addr']} until {one.get('until', '?')}"


def _list(values: object) -> list[dict[str, Any]]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _ask(*words: str) -> object:
    """What `ceph` prints as JSON, or "" if it prints nothing of the kind. Raises Misconfigured."""
    return _printed(_output(*words, "--format", "json"))


def _output(*words: str) -> str:
    process.require(CEPH, "ceph-common")
    status, output = process.run([CEPH, "--connect-timeout", _CONNECT_SECONDS, *words], seconds=_SECONDS)
    if status:
        lines = output.strip().splitlines()
        raise Misconfigured(f"ceph {words[0]} {words[1]} failed", lines[-1] if lines else f"exit {status}")
    return output


def _printed(output: str) -> object:
    """The JSON in what `ceph` printed, among words of standard error; behind a list there may be another one."""
    for line in output.splitlines():
        if line.startswith(("[", "{")):
            with contextlib.suppress(ValueError):
                return json.JSONDecoder().raw_decode(line)[0]
    return ""
