"""`enc accept`."""

from __future__ import annotations

import click

from client import options, output
from client.completion import INVITED
from client.connection import signing
from client.errors import Usage
from client.operations import unlocking
from client.state.config import Profile
from client.system import names, passphrase_prompt


@click.command("accept")
@INVITED
@click.option("--passphrase", is_flag=True, help="Unlock it by a passphrase, whatever keys there are.")
@click.option("--key-file", default="", help="The key that unlocks it (default: the one that you log in with).")
@click.option("--allow-weak", is_flag=True, help="Accept a passphrase that the gateway considers too short.")
@options.gateway
def command(profile: Profile, project: str, passphrase: bool, key_file: str, allow_weak: bool, as_json: bool) -> None:
    """Join PROJECT (OWNER/PROJECT), which somebody shares with you. Asks for the code that they gave you.

    Your Ed25519 key, in the agent or in a file, unlocks it from then on. Without one, you choose a passphrase.
    """
    if not names.is_shared(project):
        raise Usage(f"{project!r} is no project of somebody else's", "enc accept OWNER/PROJECT; `enc ls` lists yours")
    if passphrase and key_file:
        raise Usage("--passphrase and --key-file exclude each other", "leave one of them out")
    key = b""
    if key_file or (not passphrase and signing.keys(profile)):
        key = unlocking.new_key(profile, project, key_file).lines.removesuffix(b"\n")
    elif not passphrase:
        output.note("no Ed25519 key is in the agent or in the config, so a passphrase will unlock it")

    def ask(said: str) -> bytes:
        code = passphrase_prompt.read_code(f"Code of the invitation to {project}: ")
        new = f"New passphrase for {project}: "
        return code + b"\n" + (key or passphrase_prompt.read_new(new, unlocking.minimum(said)))

    words = ["accept", project, "key" if key else "passphrase", *(["--allow-weak"] if allow_weak else [])]
    answer = unlocking.send_when_asked(profile, *words, ask=ask)
    by = f"your SSH key {answer['key']}" if key else "your passphrase"
    output.result(answer, f"you are a {answer['role']} of {project}; {by} unlocks it: `enc mount {project}`", as_json)
