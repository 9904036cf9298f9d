"""`enc completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from client import options, output
from client.errors import Usage


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@options.JSON
@click.pass_context
def command(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Print the script that makes SHELL complete commands, options and projects.

    bash: put eval "$(enc completion bash)" in ~/.bashrc. zsh: the same with zsh, in ~/.zshrc.
    fish: enc completion fish > ~/.config/fish/completions/enc.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise Usage(f"this version of click has no completion for {shell}")
    made = kind(ctx.find_root().command, {}, "enc", "_ENC_COMPLETE")
    script = made.source_template % made.source_vars()  # source() would run bash to ask for its version
    output.result({"shell": shell, "script": script}, script, as_json)
