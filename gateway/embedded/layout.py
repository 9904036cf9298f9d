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
from gateway.config import loader, schema
from gateway.errors import Busy, Misconfigured, Usage
from gateway.host import sshd_template
from gateway.sandbox import transfer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SSH_KEYGEN = "/usr/bin/ssh-keygen"
SSH_CONFIG = "ssh_config"
HOST_KEY = "host_ed25519"
_LOCK = "embedded.lock"
_MAX_DIGITS = 9


class Layout(Record):
    """Absolute paths below `root`, and the account for logins."""

    account: pwd.struct_passwd
    root: Path
    config: Path
    sshd_config: Path
    ssh_config: Path
    known_hosts: Path
    authorized_keys: Path
    host_key: Path
    log: Path
    audit: Path
    vaults: Path
    enrolments: Path
    run: Path

    @classmethod
    def at(cls, root: Path, account: pwd.struct_passwd) -> Layout:
        return cls(
            account=account,
            root=root,
            config=root / "gateway.toml",
            sshd_config=root / "sshd_config",
            ssh_config=root / SSH_CONFIG,
            known_hosts=root / "known_hosts",
            authorized_keys=root / "authorized_keys",
            host_key=root / HOST_KEY,
            log=root / "log" / "sshd.log",
            audit=root / "audit" / "audit.jsonl",
            vaults=root / "vaults",
            enrolments=root / "enrolments",
            run=root / "run",
        )


def root_of(authorized_keys: str) -> Path | None:
    """The directory of the embedded gateway that has this authorized_keys; None for one that `setup` made."""
    root = Path(authorized_keys).parent
    return root if all((root / name).exists() for name in (SSH_CONFIG, HOST_KEY, "sshd_config")) else None


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
        "paths.pause": str(layout.root / "paused"),
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


def sshd_config(layout: Layout, port: int) -> str:
    """A complete sshd_config: what the main file would set, then the shipped drop-ins with this directory's paths."""
    drop_in = sshd_template.overridden(
        {
            "Match": f"User {layout.account.pw_name}",
            "AuthorizedKeysFile": _quoted(layout.authorized_keys),
            "ForceCommand": sshd_template.force_command(interpreter.python("rshell/__main__.py", str(layout.config))),
        }
    )
    return f"""\
ListenAddress 127.0.0.1
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


def ssh_config(layout: Layout, port: int) -> str:
    """For `ssh -F`: the host alias `gateway`, with its host key."""
    return f"""\
Host gateway
    HostName 127.0.0.1
    Port {port}
    User {layout.account.pw_name}
    IdentitiesOnly yes
    HostKeyAlias enc-gateway
    UserKnownHostsFile {_quoted(layout.known_hosts)}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""


def make_host_key(layout: Layout) -> None:
    """Make the host key unless an earlier run did, and write known_hosts. Raises Misconfigured."""
    if not layout.host_key.exists():
        process.require(SSH_KEYGEN, "openssh-client")
        status, output = process.run(
            [SSH_KEYGEN, "-q", "-t", "ed25519", "-N", "", "-C", "enc-gateway", "-f", str(layout.host_key)]
        )
        if status:
            raise Misconfigured(f"ssh-keygen exited with {status}: {output.strip()}")
    public = Path(f"{layout.host_key}.pub").read_text(encoding="ascii").split()
    write(layout.known_hosts, f"enc-gateway {public[0]} {public[1]}\n")


def add_keys(layout: Layout, files: tuple[Path, ...]) -> None:
    """Append the line of each public key file to authorized_keys, unless it is there already."""
    there = layout.authorized_keys.read_text(encoding="utf-8") if layout.authorized_keys.exists() else ""
    for file in files:
        line = file.read_text(encoding="utf-8").strip()
        if line not in there.splitlines():
            there += line + "\n"
    write(layout.authorized_keys, there)


def make_directories(layout: Layout) -> None:
    """Make the directories. The account owns those that it writes to; the others it can only read. Raises Usage."""
    _require_ours(layout.root)
    if layout.root.exists() and any(layout.root.iterdir()) and not layout.config.exists():
        raise Usage(f"{layout.root} is not empty and was not made by an embedded gateway", "name another directory")
    layout.root.mkdir(parents=True, exist_ok=True)
    layout.root.chmod(0o755 if os.geteuid() == 0 else 0o700)
    # The log has a directory of its own, because every session watches the one of authorized_keys
    layout.log.parent.mkdir(mode=0o700, exist_ok=True)
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
