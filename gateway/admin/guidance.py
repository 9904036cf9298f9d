"""`enc-gateway help` and `enc-gateway completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from gateway.admin import options, output
from gateway.errors import Usage


@click.command(name="help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def help_(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command."""
    context = ctx.find_root()
    for word in words:
        group = context.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"`{context.command_path}` has no command {word!r}", context)
        _, command, _ = group.resolve_command(context, [word])
        assert command is not None  # noqa: S101 - resolve_command raises UsageError
        context = click.Context(command, info_name=word, parent=context)
    click.echo(context.command.get_help(context))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@options.as_json
@click.pass_context
def completion(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Print the completion script for SHELL.

    \b
    bash: eval "$(enc-gateway completion bash)", in ~/.bashrc. The package has it already.
    zsh:  eval "$(enc-gateway completion zsh)", in ~/.zshrc
    fish: enc-gateway completion fish > ~/.config/fish/completions/enc-gateway.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise Usage(f"this version of click has no completion for {shell}")
    made = kind(ctx.find_root().command, {}, "enc-gateway", "_ENC_GATEWAY_COMPLETE")
    script = made.source_template % made.source_vars()  # source() would run bash to ask for its version
    output.result({"shell": shell, "script": script}, script.strip("\n"), as_json)
