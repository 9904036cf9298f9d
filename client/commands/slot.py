"""`enc slot`."""

from __future__ import annotations

import click

from client import options, output
from client.completion import PROJECT, SLOT
from client.errors import Usage
from client.operations import projects, unlocking
from client.state.config import Profile
from client.system import passphrase_prompt

_KINDS = ("key", "recovery", "passphrase")


@click.command("slot")
@click.argument("action", type=click.Choice(["add", "rm"]))
@PROJECT
@SLOT
@click.option("--key-file", default="", help="With `add PROJECT key`: the key (default: the one that you log in with).")
@click.option("--no-recovery", is_flag=True, help="With `rm`: SSH keys alone may remain.")
@click.option("--allow-weak", is_flag=True, help="Accept a passphrase that the gateway considers too short.")
@options.gateway
def command(
    profile: Profile,
    action: str,
    project: str,
    slot: str,
    key_file: str,
    no_recovery: bool,
    allow_weak: bool,
    as_json: bool,
) -> None:
    """Add a way to unlock PROJECT (key, recovery or passphrase), or remove one that `enc slots` lists.

    It asks for the passphrase, unless a key of yours unlocks the project; to remove a way, you unlock by another one.
    A key is an Ed25519 key in your agent or in a file; the project then mounts without a passphrase.
    """
    projects.check_name(project)
    if action == "add" and slot not in _KINDS:
        raise Usage(f"{slot!r} is no kind", f"enc slot add {project} {' | '.join(_KINDS)}")
    flags = [flag for flag, given in (("--no-recovery", no_recovery), ("--allow-weak", allow_weak)) if given]

    def after() -> bytes:
        if action == "add" and slot == "key":
            return unlocking.new_key(profile, project, key_file).lines
        if action == "add" and slot == "passphrase":
            return passphrase_prompt.read_new(f"Another passphrase of {project}: ")
        return b""

    opened = unlocking.ask(profile, project, "slot", action, project, slot, *flags, after=after, without=slot)
    if opened.note:
        output.note(opened.note)
    said = f"added {opened.answer['slot']} to {project}" if action == "add" else f"removed {slot} from {project}"
    output.result(opened.answer, said + output.recovery_code(opened.answer), as_json)
