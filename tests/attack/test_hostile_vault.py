"""A vault whose files were exchanged by code with the rights of the gateway's account, or by a mistaken restore."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, admin, bindir, eventually, need_root, run


@pytest.fixture(autouse=True)
def as_root() -> None:
    need_root()


@pytest.fixture
def who(make_gateway: Callable[..., Gateway]) -> Person:
    """Somebody with the projects `work`, which has files, and `other`, with the same passphrase."""
    person = make_gateway().person("dev")
    for project in ("work", "other"):
        person.new(project)
    with person.mounted("work"):
        assert person.sftp(*(f"put /etc/hostname work/file{number}" for number in range(4))).status == 0
    return person


def exchange(path: Path, content: bytes) -> None:
    """Put another file in the place of `path`, with its owner."""
    owner = path.stat()
    path.unlink()
    path.write_bytes(content)
    os.chown(path, owner.st_uid, owner.st_gid)


def fifo(path: Path) -> None:
    owner = path.stat()
    path.unlink()
    os.mkfifo(path)
    os.chown(path, owner.st_uid, owner.st_gid)


def costly(path: Path) -> None:
    """A passphrase that costs 20 s of processor and 1 GiB to check."""
    config = json.loads(path.read_text())
    config["ScryptObject"]["P"] = 1_000_000
    exchange(path, json.dumps(config).encode())


def in_plaintext(path: Path) -> None:
    config = json.loads(path.read_text())
    config["FeatureFlags"] = ["PlaintextNames", "GCMIV128", "HKDF"]
    exchange(path, json.dumps(config).encode())


def of_the_other(path: Path) -> None:
    exchange(path, (path.parents[2] / "other" / "slots" / "passphrase.conf").read_bytes())


CHANGES = [
    pytest.param("vault.toml", fifo, id="a FIFO for the metadata"),
    pytest.param("slots/passphrase.conf", fifo, id="a FIFO for a slot's config"),
    pytest.param("slots/passphrase.toml", fifo, id="a FIFO for a slot"),
    pytest.param("slots/passphrase.conf", costly, id="a costly slot"),
    pytest.param("slots/passphrase.conf", in_plaintext, id="names in plaintext"),
    pytest.param("slots/passphrase.conf", of_the_other, id="another vault's slot"),
]


def test_what_was_exchanged_is_told_before_a_passphrase_is_asked_and_hangs_nobody(who: Person) -> None:
    gateway, vault = who.gateway, who.vault("work")
    shutil.copytree(vault, kept := vault.parent / ".kept", copy_function=shutil.copy2)
    for param in CHANGES:
        name, change = param.values
        assert isinstance(name, str) and callable(change)
        change(vault / name)
        for verb in ("mount", "fsck"):
            began = time.monotonic()
            refused = who.ssh(verb, "work", stdin=PASSPHRASE + "\n")
            assert (refused.status, "Passphrase" in refused.err) == (65, False), (param.id, refused)
            assert time.monotonic() - began < 10
        for words in (("vaults",), ("metrics",), ("sweep",)):
            assert admin(gateway, *words).status == 0, param.id
        assert "damaged" in admin(gateway, "vaults").out
        assert who.ssh("ls").status == 0
        exchange(vault / name, (kept / name).read_bytes())
    with who.mounted("work"):
        assert who.sftp("ls work/file0").status == 0
    assert not gateway.events("fault")


@pytest.mark.parametrize("binding", ["forged", "missing"])
def test_a_key_that_is_another_projects_opens_nothing(who: Person, binding: str) -> None:
    """With the same passphrase it opened as an empty project, and what was written there was lost. A forged binding, or
    that of a slot from before there was one, does not help: what the view shows has to fit the ciphertext.
    """
    vault, gateway = who.vault("work"), who.gateway
    of_the_other(vault / "slots" / "passphrase.conf")
    description = vault / "slots" / "passphrase.toml"
    text = "".join(
        line for line in description.read_text().splitlines(True) if not line.startswith(("binding", "version"))
    )
    if binding == "forged":
        text += f'binding = "{forged_binding(vault)}"\n'
    exchange(description, text.encode())
    before = sorted(os.listdir(vault / "cipher"))
    refused = who.ssh("mount", "work", stdin=PASSPHRASE + "\n")
    assert refused.status == 65 and "the key of another project" in refused.err, refused
    assert not gateway.events("unlocked", project="work", session=gateway.events("unlock-failed")[0]["session"])
    assert sorted(os.listdir(vault / "cipher")) == before
    eventually(lambda: not gateway.leftovers())
    assert who.ssh("mount", "work", stdin="wrong passphrase\n").status == 77
    assert "waiting" not in refused.err
    assert ("not bound to this project" in admin(gateway, "vaults").out) == (binding == "missing")


def forged_binding(vault: Path) -> str:
    from gateway.base import toml
    from gateway.vault import gocryptfs_config

    id_ = toml.parse((vault / "vault.toml").read_text())["id"].value
    return gocryptfs_config.binding(str(id_), gocryptfs_config.checked((vault / "slots/passphrase.conf").read_bytes()))


def test_a_project_from_before_slots_were_bound_opens_and_that_is_told(who: Person) -> None:
    description = who.vault("work") / "slots" / "passphrase.toml"
    lines = [line for line in description.read_text().splitlines(True) if not line.startswith(("binding", "version"))]
    exchange(description, "".join(lines).encode())
    with who.mounted("work"):
        assert who.sftp("ls work/file0").status == 0
    (row,) = [one for one in json.loads(admin(who.gateway, "vaults", "--json").out)["vaults"] if one["unbound"]]
    assert (row["project"], row["unbound"], row["state"]) == ("work", ["passphrase"], "locked")
    assert "binding" not in description.read_text(), "it is not adopted at sight"


def test_a_project_whose_names_are_long_or_few_fits_its_key(who: Person) -> None:
    with who.mounted("other"):
        pass
    with who.mounted("other"):
        assert who.sftp("mkdir other/" + "x" * 200, "mkdir other/" + "y" * 200).status == 0
    with who.mounted("other"):
        assert who.sftp("ls other").out.count("xxx") > 1


LATER = """
import sys
from gateway.base import files
files.ABANDONED_AFTER = -1  # a ctime cannot be made old
from gateway.cli import main
main(["sweep", "--config", sys.argv[1]])
"""


def test_what_a_killed_process_left_beside_a_file_is_swept_when_it_is_old(who: Person, ground: Path) -> None:
    """vault.toml, a key that was handed in, the filter and authorized_keys are replaced so. Nothing else goes."""
    gateway = who.gateway
    account = gateway.vaults.stat()
    places = [gateway.root / "enrolments", gateway.root / "run", who.vault("work")]
    staged = [place / ".new-file-0badcafe" for place in (*places, gateway.root)]
    for path in staged:
        path.write_text("x")
    for path in staged[:-1]:  # authorized_keys is root's
        os.chown(path, account.st_uid, account.st_gid)
    (ground / "roots").write_text("x")
    (places[0] / ".new-link").symlink_to(ground / "roots")
    (places[0] / ".new-directory").mkdir()
    assert "unfinished" not in admin(gateway, "sweep").out
    words = [str(bindir() / "python"), "-c", LATER, str(gateway.root / "gateway.toml")]
    assert "5 unfinished files" in run(words).out
    assert not any(path.exists() for path in staged)
    assert (ground / "roots").exists() and (places[0] / ".new-directory").exists()
    with who.mounted("work"):
        assert who.sftp("ls work/file0").status == 0
