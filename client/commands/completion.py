"""`enc completion`."""

from __future__ import annotations

import os

import click
from click.shell_completion import get_completion_class

from client import options, output
from client.errors import Usage

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", required=False)
@options.JSON
@click.pass_context
def command(ctx: click.Context, shell: str | None, as_json: bool) -> None:
    """Print the script that makes SHELL (default: yours) complete commands, options and projects.

    bash: put eval "$(enc completion bash)" in ~/.bashrc. zsh: the same with zsh, in ~/.zshrc.
    fish: enc completion fish > ~/.config/fish/completions/enc.fish
    """
    shell = shell or os.path.basename(os.environ.get("SHELL", ""))
    if not shell:
        raise Usage("cannot tell your shell", "name it: `enc completion bash`")
    if shell not in _SHELLS:
        raise Usage(f"there is no completion for {shell[:40]}", "name bash, zsh or fish")
    kind = get_completion_class(shell)
    if kind is None:
        raise Usage(f"this version of click has no completion for {shell}")
    made = kind(ctx.find_root().command, {}, "enc", "_ENC_COMPLETE")
    script = made.source_template % made.source_vars()  # source() would run bash to ask for its version
    output.result({"shell": shell, "script": script}, script, as_json)
