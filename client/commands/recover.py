"""`enc recover`."""

from __future__ import annotations

import click

from client import options, output
from client.completion import PROJECT
from client.operations import projects, unlocking
from client.state.config import Profile
from client.system import passphrase_prompt


@click.command("recover")
@PROJECT
@click.argument("kind", type=click.Choice(["passphrase", "key"]), default="passphrase")
@click.option("--key-file", default="", help="With `key`: the key (default: the one that you log in with).")
@click.option("--allow-weak", is_flag=True, help="Accept a passphrase that the gateway considers too short.")
@options.gateway
def command(profile: Profile, project: str, kind: str, key_file: str, allow_weak: bool, as_json: bool) -> None:
    """Get back into PROJECT with its recovery code: set a new passphrase, or add a key."""
    projects.check_name(project)
    code = passphrase_prompt.read(f"Recovery code of {project}: ")
    if kind == "key":
        more = unlocking.new_key(profile, project, key_file).lines
    else:
        more = passphrase_prompt.read_new(f"New passphrase of {project}: ")
    words = ["recover", project, kind, *(["--allow-weak"] if allow_weak else [])]
    answer = unlocking.send(profile, *words, secret=code + b"\n" + more.removesuffix(b"\n"))
    done = f"added {answer['slot']} to {project}" if kind == "key" else f"{project} has a new passphrase"
    output.result(answer, f"{done}; the recovery code stays valid", as_json)
