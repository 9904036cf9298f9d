"""`enc-gateway backup` copies the ciphertext of all vaults, and lists and checks the copies."""

from __future__ import annotations

import difflib
import os
import sys
import time
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.admin.backup import copies, moment
from gateway.admin.backup.moment import Moment
from gateway.admin.usage import Group
from gateway.audit import administration
from gateway.base import files, privileges, text
from gateway.config.schema import Config
from gateway.errors import Busy, DamagedVault, EncError, Usage
from gateway.identity.names import Principal
from gateway.vault import copying, realm, store
from gateway.vault.copying import CopyResult
from gateway.vault.store import Vault


class _Backup(Group):
    """`backup DIRECTORY` makes one. `backup list` and `backup verify` are commands; a directory of such a name is
    written `./list`.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        is_mistyped = (
            "/" not in word and not os.path.exists(word) and difflib.get_close_matches(word, ("list", "verify"))
        )
        if self.get_command(ctx, word) is None and not is_mistyped:
            return "to", _make, args
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The options of `backup DIRECTORY` may come before the directory."""
        asks_for_help = {"-h", "--help"} & set(args[:1])
        if args and args[0].startswith("-") and not asks_for_help:
            args = ["to", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Backup, subcommand_metavar="DIRECTORY | COMMAND DIRECTORY")
def backup() -> None:
    """Copy every vault to a directory, as ciphertext.

    `enc-gateway backup DIRECTORY` makes or updates the copies. Users may work meanwhile; each copy shows one moment,
    on CephFS the same for all, and replaces the previous copy as a whole. Copies of removed projects are kept. Exits
    with 75 when a vault could not be copied consistently; its previous copy is kept.
    """


@click.command(name="to")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@options.configured
@options.as_json
def _make(directory: Path, settings: Config, as_json: bool) -> None:
    """Make or update the copies in DIRECTORY.

    `backup DIRECTORY` does the same.
    """
    began = time.monotonic()
    with privileges.root():
        _prepare(directory)
    with moment.of(settings.paths_vaults) as source:
        copied = _copy_all(settings, source, directory)
    _copy_realm(settings, directory)
    failed = [one for one in copied if one.problem]
    administration.record(settings, "backup", vaults=len(copied), incomplete=len(failed))
    seconds = time.monotonic() - began
    fields = {
        "directory": str(directory),
        "vaults": [one.as_dict() for one in copied],
        "incomplete": len(failed),
        "seconds": round(seconds, 3),
        "moment": source.taken,
    }
    output.result(fields, _words(copied, seconds, source.taken), as_json)
    sys.exit(Busy.code if failed else 0)


def _copy_all(settings: Config, source: Moment, directory: Path) -> list[CopyResult]:
    account = privileges.owner(settings.paths_vaults)
    copied = []
    for principal, home in store.homes(source.root):
        try:
            names = store.names(home)
        except OSError as error:
            problem = f"{home} cannot be read: {error.strerror}"
            copied.append(CopyResult(principal=principal, project="", attempts=0, problem=problem))
            continue
        for name in names:
            vault = Vault(name=name, path=os.path.join(home, name))
            origin = copying.Origin(account=account, vault=vault, is_snapshot=bool(source.taken))
            copied.append(_copy_one(origin, principal, directory / principal.directory))
    return copied


def _copy_realm(settings: Config, directory: Path) -> None:
    """The realm of the vaults: without it no SSH key unlocks what is restored elsewhere."""
    known = realm.peek(settings.paths_vaults)
    if known:
        with privileges.root():
            files.replace(directory / realm.FILE, known + "\n")


def _words(copied: list[CopyResult], seconds: float, taken: str) -> str:
    """The table of what was done, and the totals. `taken`: when all were as they are in the copies; "" for none."""
    prints = output.Fingerprints(one.principal for one in copied)
    header = ("PRINCIPAL", "PROJECT", "SIZE", "RESULT")
    rows = [
        (prints.short(one.principal), one.project, "-" if one.problem else text.human_size(one.size), _result(one))
        for one in copied
    ]
    changed = sum(one.changed for one in copied)
    failed = sum(bool(one.problem) for one in copied)
    totals = [
        f"{changed} copied ({text.human_size(sum(one.copied for one in copied))})",
        f"{len(copied) - changed - failed} unchanged",
        *([f"{failed} FAILED; their earlier copies are kept"] if failed else ()),
    ]
    size = text.human_size(sum(one.size for one in copied))
    total = f"{text.counted(len(copied), 'project')}, {size}: {', '.join(totals)}; {seconds:.1f} s"
    if taken:
        total += f"\nof {taken.replace('T', ' ').removesuffix('Z')} UTC, one moment for all"
    return f"{output.table(header, rows, 'no projects')}\n\n{total}"


def _result(one: CopyResult) -> str:
    if one.problem:
        return f"FAILED: {one.problem}"
    tries = f", at attempt {one.attempts}" if one.attempts > 1 else ""
    return f"{'copied' if one.changed else 'unchanged'}{tries}"


def _copy_one(origin: copying.Origin, principal: Principal, target: Path) -> CopyResult:
    """Copy one vault. A failure is returned in the result, so that the other vaults are still copied."""
    try:
        with privileges.root():
            target.mkdir(mode=0o700, exist_ok=True)
            return copying.back_up(origin, principal, target)
    except EncError as error:
        problem = error.line()
    except OSError as error:
        problem = f"the backup cannot be written: {error.strerror}"
    return CopyResult(principal=principal, project=origin.vault.name, attempts=0, problem=problem)


def _prepare(directory: Path) -> None:
    """Make the directory, or check that it is a backup of ours, because `backup` deletes in it. Raises Usage."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    marker = directory / copies.MARKER
    if not marker.exists():
        if any(directory.iterdir()):
            raise Usage(f"{directory} is not empty and is not a backup of a gateway", "name another directory")
        marker.write_text(copies.MARKER_TEXT, encoding="utf-8")


backup.add_command(_make)


@backup.command(name="list")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@options.as_json
def list_(directory: Path, as_json: bool) -> None:
    """List the copies in DIRECTORY."""
    found = copies.find(directory)
    output.result({"copies": [one.fields() for one in found]}, copies.table(found), as_json)


@backup.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@options.as_json
def verify(directory: Path, as_json: bool) -> None:
    """Read every copy in DIRECTORY and check it.

    Finds files that cannot be read, are missing, or have a size that no encrypted file has. What is in them only their
    owner can check: restore the project, and have its owner run `fsck`. Exits with 65 when a copy is damaged.
    """
    found = copies.find(directory)
    checked = [(one, copies.problems(one)) for one in found]
    rows = [
        (one.principal, one.project, f"DAMAGED: {'; '.join(wrong)}" if wrong else "sound") for one, wrong in checked
    ]
    damaged = sum(bool(wrong) for _, wrong in checked)
    total = f"{text.counted(len(found), 'copy', 'copies')}, {damaged or 'none'} damaged"
    words = f"{output.table(('PRINCIPAL', 'PROJECT', 'RESULT'), rows, 'no copies')}\n\n{total}"
    fields = [{**one.fields(), "problems": list(wrong)} for one, wrong in checked]
    output.result({"copies": fields, "damaged": damaged}, words, as_json)
    sys.exit(DamagedVault.code if damaged else 0)
