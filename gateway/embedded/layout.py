"""The directory of an embedded gateway: its paths, and the files that are made in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import stat
from pathlib import Path

from gateway.base import files, interpreter, process, toml
from gateway.base.records import Record
from gateway.cluster import places
from gateway.config import loader, schema
from gateway.errors import Busy, Misconfigured, Usage
from gateway.host import sshd_template
from gateway.identity import keyfile
from gateway.sandbox import transfer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SSH_KEYGEN = "/usr/bin/ssh-keygen"
SSH_CONFIG = "ssh_config"
HOST_KEY = "host_ed25519"
_LOCK = "embedded.lock"
_MAX_DIGITS = 9


class Layout(Record):
    """Absolute paths below `root`, and the account for logins. sshd reads `authorized_keys`; people edit `master`,
    which is another file on a host of a cluster, whose directory is `cluster` (None: this host is alone).
    """

    account: pwd.struct_passwd
    root: Path
    config: Path
    sshd_config: Path
    ssh_config: Path
    known_hosts: Path
    authorized_keys: Path
    master: Path
    cluster: Path | None
    host_key: Path
    log: Path
    audit: Path
    vaults: Path
    enrolments: Path
    pause: Path
    run: Path

    @classmethod
    def at(cls, root: Path, account: pwd.struct_passwd, given: Mapping[str, str] | None = None) -> Layout:
        """With the settings `given`, of which the places of a cluster are others than those of a host that is alone."""
        given = given or {}
        cluster = Path(directory) if (directory := given.get("cluster.directory", "")) else None
        shared = cluster or root
        keys = root / _COPY / places.KEYS if cluster else root / places.KEYS
        return cls(
            account=account,
            root=root,
            config=root / "gateway.toml",
            sshd_config=root / "sshd_config",
            ssh_config=root / SSH_CONFIG,
            known_hosts=root / "known_hosts",
            authorized_keys=keys,
            master=shared / places.KEYS,
            cluster=cluster,
            host_key=root / HOST_KEY,
            log=root / "log" / "sshd.log",
            audit=root / "audit" / "audit.jsonl",
            vaults=Path(given["paths.vaults"]) if cluster and "paths.vaults" in given else shared / "vaults",
            enrolments=shared / "enrolments",
            pause=shared / "paused",
            run=root / "run",
        )


_COPY = "keys"
"""In a cluster, the directory of this host's copy of what the hosts share."""


def root_of(authorized_keys: str) -> Path | None:
    """The directory of the embedded gateway that has this authorized_keys; None for one that `setup` made. It is known
    by what is there before anything else of it runs.
    """
    above = Path(authorized_keys).parent
    roots = (above, above.parent) if above.name == _COPY else (above,)
    return next((root for root in roots if all((root / name).exists() for name in (HOST_KEY, _LOCK))), None)


def judged_up_to(authorized_keys: str) -> str:
    """The directory up to which owners and modes count: the root of an embedded gateway, whose sshd is not strict."""
    return str(root_of(authorized_keys) or "/")


@contextlib.contextmanager
def held(layout: Layout) -> Iterator[None]:
    """Hold the directory: a second gateway would take the first one's sshd_config and ssh_config away. The kernel
    releases the lock when we end, however that happens. Raises Busy.
    """
    fd = files.open_regular(str(layout.root / _LOCK), os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(
                f"a gateway already runs in {layout.root}",
                "end it there with Ctrl-C, or name another directory",
            ) from error
        yield
    finally:
        os.close(fd)


def config_text(layout: Layout, given: dict[str, str]) -> str:
    """The text of gateway.toml: the paths of `layout`, then `given` (dotted key to text). Raises Usage."""
    values: dict[str, str | int | tuple[str, ...]] = {
        "paths.vaults": str(layout.vaults),
        "paths.run": str(layout.run),
        "paths.audit": str(layout.audit),
        "paths.authorized_keys": str(layout.authorized_keys),
        "paths.enrolments": str(layout.enrolments),
        "paths.pause": str(layout.pause),
    }
    known = {key.name: key for key in schema.KEYS}
    for name, text in given.items():
        if name not in known:
            raise Usage(f"gateway.toml has no key {name!r}", f"its keys are {', '.join(known)}")
        if isinstance(known[name].default, int):
            if not text.isdecimal() or len(text) > _MAX_DIGITS:
                raise Usage(f"{name} must be a whole number of at most {_MAX_DIGITS} digits")
            values[name] = int(text)
        elif isinstance(known[name].default, tuple) or (known[name].or_targets and ":" in text):
            values[name] = tuple(_utf8(name, item) for item in text.split(",") if item)
        else:
            values[name] = _utf8(name, text)
    ordered = {name: values[name] for name in known if name in values}
    text = toml.dump(ordered)
    try:
        loader.parse(text, "--set")
    except Misconfigured as error:
        raise Usage(str(error)) from error
    return text


def _utf8(name: str, text: str) -> str:
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise Usage(f"{name} must be UTF-8")
    return text


def sshd_config(layout: Layout, port: int, listen: str) -> str:
    """A complete sshd_config: what the main file would set, then the shipped drop-ins with this directory's paths."""
    drop_in = sshd_template.overridden(
        {
            "Match": f"User {layout.account.pw_name}",
            "AuthorizedKeysFile": _quoted(layout.authorized_keys),
            "ForceCommand": sshd_template.force_command(interpreter.python("rshell/__main__.py", str(layout.config))),
        }
    )
    return f"""\
ListenAddress {listen}
Port {port}
HostKey {_quoted(layout.host_key)}
PidFile none
UsePAM no
LogLevel VERBOSE
# The directory may be in one that others can write to, such as /tmp. Only the account can write to it.
StrictModes no
PerSourceMaxStartups none
MaxStartups 1000
Subsystem sftp {transfer.PROGRAMS["sftp-server"]}

{sshd_template.shipped(sshd_template.TRANSPORT)}
{drop_in}"""


def ssh_config(layout: Layout, port: int, listen: str) -> str:
    """For `ssh -F`: the host alias `gateway`, with its host key."""
    return f"""\
Host gateway
    HostName {_ANY_ADDRESS.get(listen, listen)}
    Port {port}
    User {layout.account.pw_name}
    IdentitiesOnly yes
    HostKeyAlias enc-gateway
    UserKnownHostsFile {_quoted(layout.known_hosts)}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""


_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a client's view of it
"""Where a client of this machine finds a gateway that listens on all addresses."""


def make_host_key(layout: Layout, given: Path | None) -> None:
    """Take the host key `given`, or make one unless an earlier run did, and write known_hosts. Raises Misconfigured."""
    if given:
        _take_host_key(layout, given)
    elif not layout.host_key.exists():
        process.require(SSH_KEYGEN, "openssh-client")
        status, output = process.run(
            [SSH_KEYGEN, "-q", "-t", "ed25519", "-N", "", "-C", "enc-gateway", "-f", str(layout.host_key)]
        )
        if status:
            raise Misconfigured(f"ssh-keygen exited with {status}: {output.strip()}")
    public = Path(f"{layout.host_key}.pub").read_text(encoding="ascii").split()
    write(layout.known_hosts, f"enc-gateway {public[0]} {public[1]}\n")


def _take_host_key(layout: Layout, given: Path) -> None:
    """Copy the private key, and make its public one from it. Raises Misconfigured."""
    process.require(SSH_KEYGEN, "openssh-client")
    try:
        key = given.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{given} cannot be read", error.strerror) from error
    if not (layout.host_key.exists() and layout.host_key.read_bytes() == key):
        files.replace(layout.host_key, key, 0o600)
    status, output = process.run([SSH_KEYGEN, "-y", "-P", "", "-f", str(layout.host_key)])
    if status or not output.startswith(("ssh-", "ecdsa-")):
        layout.host_key.unlink()
        raise Misconfigured(f"{given} is not a host key", "name a private key without a passphrase")
    write(Path(f"{layout.host_key}.pub"), output)


def add_keys(layout: Layout, keys: tuple[Path, ...]) -> None:
    """Append the line of each public key file to the authorized_keys that people edit, unless it is there already. The
    hosts of a cluster share that: it is made if it is missing, and changed as `enc-gateway key` does.
    """
    if not layout.master.exists():
        with contextlib.suppress(FileExistsError):  # by another host, at this moment
            files.create(str(layout.master), b"", 0o644)
    elif not layout.cluster:
        layout.master.chmod(0o644)

    def change(lines: list[str]) -> None:
        for file in keys:
            line = file.read_text(encoding="utf-8").strip()
            if line not in lines:
                keyfile.append(lines, line)

    keyfile.edit(str(layout.master), change)


def make_directories(layout: Layout) -> None:
    """Make the directories. The account owns those that it writes to; the others it can only read. Raises Usage."""
    _require_ours(layout.root)
    if layout.root.exists() and any(layout.root.iterdir()) and not layout.config.exists():
        raise Usage(f"{layout.root} is not empty and was not made by an embedded gateway", "name another directory")
    layout.root.mkdir(parents=True, exist_ok=True)
    layout.root.chmod(0o755 if os.geteuid() == 0 else 0o700)
    # The log has a directory of its own, because every session watches the one of authorized_keys
    layout.log.parent.mkdir(mode=0o700, exist_ok=True)
    if layout.cluster:
        for path in (layout.cluster, *(layout.cluster / name for name in places.SHARED), layout.authorized_keys.parent):
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
    for path in (layout.vaults, layout.enrolments, layout.run, layout.audit.parent):
        path.mkdir(mode=0o700, exist_ok=True)
        os.chown(path, layout.account.pw_uid, layout.account.pw_gid)


def _require_ours(root: Path) -> None:
    """Raise Usage when another account owns `root` or can write to it: it could make us write elsewhere through links,
    and decide who may log in.
    """
    if not root.exists():
        return
    found = root.stat()
    if found.st_uid != os.geteuid() or found.st_mode & stat.S_IWOTH:
        raise Usage(f"{root} belongs to another account, or others can write to it", "name another directory")


def write(path: Path, text: str) -> None:
    """Write a file that the account can read, whatever our umask is."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def _quoted(path: Path) -> str:
    """For sshd_config(5), where arguments with blanks need double quotes. Raises Usage."""
    if any(char in str(path) for char in '"\\\n'):
        raise Usage("the directory's path may not contain quotes, backslashes or line breaks")
    return f'"{path}"'
