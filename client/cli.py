"""`enc`: one command to work on a project, through stock ssh and sshfs. Here: which command, and how errors end.

A command's module is loaded when it is called, so that --help costs little more than click. A word that is no command
of ours is the gateway's (`enc idle P 60`, `enc help`), and goes there as it is.
"""

from __future__ import annotations

import importlib
import json
import sys

import click

from client import options
from client.errors import EncError
from client.state.config import Choice

COMMANDS = {
    "init": "Set up a gateway: host, key, host key.",
    "login": "Connect and open a session, for as long as this terminal lives.",
    "logout": "Unmount, lock and disconnect what belongs to this terminal.",
    "new": "Create a project.",
    "ls": "List your projects.",
    "status": "Show what is mounted here and unlocked on the gateway.",
    "whoami": "Show who the gateway takes you for.",
    "rm": "Remove a project (to the gateway's trash).",
    "mount": "Unlock a project and mount it here.",
    "unmount": "Unmount a project and lock it.",
    "run": "Run a program on the gateway, within a project.",
    "open": "Mount a project, open a shell or editor in it, unmount.",
    "doctor": "Look for what is missing or wrong on this machine.",
    "completion": "Print the completion script for a shell.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        module = cmd_name if cmd_name in COMMANDS else "other"
        command: click.Command = importlib.import_module(f"client.commands.{module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        return name, self.get_command(ctx, name), args[1:] if name in COMMANDS else args

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every command takes --help, --json and --host. Other words go to the gateway: `enc help` lists its own.",
)
@click.version_option(package_name="enc-gateway", message="enc %(version)s")
@options.HOST
@options.SSH_CONFIG
@options.IDENTITY
@click.pass_context
def group(ctx: click.Context, host: str | None, ssh_config: str | None, identity: str | None) -> None:
    """Work on encrypted projects of a gateway."""
    ctx.obj = Choice(host or "", ssh_config or "", identity or "")


def main() -> None:
    """Never returns. Only here are errors worded."""
    try:
        sys.exit(group.main(prog_name="enc", standalone_mode=False) or 0)
    except EncError as error:
        sys.exit(_failed(error.slug, str(error), error.hint, error.code))
    except click.UsageError as error:
        hint = f"see `{error.ctx.command_path} --help`" if error.ctx else ""
        sys.exit(_failed("usage", error.format_message().rstrip("."), hint, 64))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_failed("interrupted", "interrupted", "", 130))
    except BrokenPipeError:
        sys.stdout = None
        sys.exit(141)
    except Exception as fault:  # the one handler for what nobody foresaw
        sys.exit(_failed("internal", f"a fault of enc ({_place(fault)})", "please report it", 70))


def _place(fault: BaseException) -> str:
    """What and where, without words that could name somebody's files."""
    trace = fault.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = trace.tb_frame.f_code.co_filename.rsplit("/", 1)[-1] if trace else ""
    return f"{type(fault).__name__} at {where}:{trace.tb_lineno if trace else 0}"


def _failed(slug: str, message: str, hint: str, code: int) -> int:
    """One line on standard error, and the object that a program waits for."""
    words = sys.argv[1:]
    if "--json" in (words[: words.index("--")] if "--" in words else words):
        click.echo(json.dumps({"error": slug, "message": message, "hint": hint, "exit": code}))
    options.note(f"enc: {message}{f'; {hint}' if hint else ''}".replace("\n", "?"))
    return code
