"""`enc completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from client import options
from client.errors import Usage


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@options.JSON
@click.pass_context
def command(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Print what makes SHELL complete commands, options and projects.

    bash: eval "$(enc completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc.
    fish: enc completion fish > ~/.config/fish/completions/enc.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise Usage(f"this click knows no completion for {shell}")
    made = kind(ctx.find_root().command, {}, "enc", "_ENC_COMPLETE")
    script = made.source_template % made.source_vars()  # not source(), which runs bash to ask for its version
    options.say({"shell": shell, "script": script}, script, as_json)
