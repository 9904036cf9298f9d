"""Somebody with a key and an unlocked project tries to have a program of their own run."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from tests.harness import Person

_INIT, _OPEN, _OPENDIR, _STATUS = 1, 3, 11, 101
"""SSH_FXP_ packet types (draft-ietf-secsh-filexfer-02)."""

DAEMON = "[m]\npath = /projects\nuse chroot = no\npre-xfer exec = touch /projects/myproj/executed\n"

CLUSTERS = (
    "-logDtpre.iLsfxCIvu",
    "-vlogDtprze31.14iLsfxCIvu",
    "-nvvulHogDtpAXrxScRe.LsfxCIvu",
    "-ltB1000",
    "-e.LsfxC",
    "-nlHtpXrcSe.iLsfxCIvu --log-format=%i -@-1",
)

REFUSED = {
    "a daemon": "--server --daemon . myproj",
    "options on standard input": "--server -s . myproj",
    "options on standard input, among letters": "--server -slogDtpre.iLsfxCIvu . myproj",
    "options on standard input, spelled out": "--server --secluded-args . myproj",
    "options on standard input, as it once was": "--server --protect-args . myproj",
    "a shell": "--server -e/bin/sh . myproj",
    "a shell, among letters": "--server -ltre/bin/sh . myproj",
    "a shell as the next word": "--server -lte /bin/sh . myproj",
    "a log file": "--server --log-file=/projects/myproj/log . myproj",
    "a word that is no option": "--server myproj . myproj",
    "an option of a daemon": "--server --config=/projects/myproj/rsyncd.conf . myproj",
    "an option for the other side": "--server -M--daemon . myproj",
    "a value that hides an option": "--server --delete --backup-dir . --daemon . myproj",
    "an option whose value is missing": "--server --bwlimit --daemon . myproj",
    "an option that takes no value": "--server --delete=--daemon . myproj",
    "letters and a dash": "--server -- . myproj",
    "no dash": "--server - . myproj",
    "devices": "--server --write-devices . myproj",
    "a negative block size": "--server -ltrB-1 . myproj",
    "a window that is no number": "--server -@--daemon . myproj",
    "no server": "-a . myproj",
    "a server later": "-a --server . myproj",
    "no path": "--server .",
    "no dot": "--server -a myproj",
}


@pytest.mark.parametrize("words", [pytest.param(words, id=about) for about, words in REFUSED.items()])
def test_rsync_is_told_nothing_but_what_its_clients_send(person: Person, project: str, words: str) -> None:
    del project  # it has to be there, so that nothing but the options is wrong
    result = person.ssh(f"rsync {words}")
    assert (result.status, result.out) == (64, "")
    assert result.err.startswith("enc: rsync is started by the rsync of your own machine")


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_what_rsyncs_clients_send_is_understood(person: Person, project: str, cluster: str) -> None:
    options = f"--sender {cluster} --backup-dir bk --temp-dir=t --iconv=utf8 --delete-excluded --numeric-ids"
    assert person.ssh(f"rsync --server {options} . {project}/").status == 69, "well formed, and locked"


def test_what_follows_the_dot_is_a_path_to_rsync(person: Person, project: str, tmp_path: Path) -> None:
    (tmp_path / "rsyncd.conf").write_text(DAEMON)
    with person.mounted(project):
        assert person.sftp(f"put {tmp_path}/rsyncd.conf {project}/rsyncd.conf").status == 0
        words = f"rsync --server --sender -logDtpre.iLsfxCIvu . --daemon --config={project}/rsyncd.conf {project}/"
        result = person.ssh(words, stdin="@RSYNCD: 31.0 md5\nm\n--server\n.\nm\n\n")
        assert "@RSYNCD" not in result.out
        assert "executed" not in person.sftp(f"ls {project}").out


def test_rsync_still_takes_the_options_that_people_use(person: Person, project: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a", "b", "-dash"):
        (source / name).write_text(name)
    (tmp_path / "list").write_text("a\n")
    remote = f"gateway:{project}"
    common = ["-aHAXSvzi", "--delete-during", "--partial", "--info=stats0", "--chmod=u+w", "--bwlimit=9000"]
    backups = [
        "-ab",
        "--backup-dir=../bk",
        f"--temp-dir=/projects/{project}",
        "--partial-dir=.part",
        "--delay-updates",
        "--fsync",
    ]
    with person.mounted(project):
        for words in (
            [*common, f"{source}/", f"{remote}/one/"],
            [*backups, f"{source}/", f"{remote}/two/"],
            ["-aR", f"--files-from={tmp_path}/list", f"{source}/", f"{remote}/three/"],
            ["-rtcu", "--inplace", "--append-verify", "--exclude=b", f"{remote}/one/", f"{tmp_path}/back/"],
            ["-a", "--link-dest=../one", "--max-size=1m", "--numeric-ids", f"{source}/", f"{remote}/four/"],
        ):
            result = person.copy("rsync", *words)
            assert result.status == 0, result
        assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["-dash", "a"]


class Sftp:
    """The protocol's packets, for what no client sends."""

    def __init__(self, person: Person) -> None:
        self._process = subprocess.Popen(
            person.argv("sftp", extra=("-s",)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._ask(_INIT, struct.pack(">I", 3))

    def ends_with(self, kind: int, path: str, rest: bytes = b"") -> bool:
        """Whether the server answers a request about `path` with an error."""
        about = path.encode()
        return self._ask(kind, struct.pack(">II", 1, len(about)) + about + rest)[0] == _STATUS

    def _ask(self, kind: int, content: bytes) -> bytes:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(struct.pack(">IB", len(content) + 1, kind) + content)
        self._process.stdin.flush()
        (size,) = struct.unpack(">I", self._process.stdout.read(4))
        return self._process.stdout.read(size)

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)


def test_no_processs_memory_can_be_written_through_sftp(person: Person, project: str) -> None:
    with person.mounted(project):
        sftp = Sftp(person)
        try:
            for path in ("/proc", "/proc/1", "/proc/self/fd"):
                assert sftp.ends_with(_OPENDIR, path), path
            for path in ("/proc/1/mem", "/proc/self/mem", "/proc/2/mem", "/proc/1/maps"):
                assert sftp.ends_with(_OPEN, path, struct.pack(">II", 1, 0)), path
                assert sftp.ends_with(_OPEN, path, struct.pack(">II", 3, 0)), path
        finally:
            sftp.close()
