"""The `enc` command line: which command runs, and how errors end. Work on a project through stock ssh and sshfs.

A command's module is imported when it is called, so `enc --help` costs little more than importing click. A word that is
not a command of enc is sent to the gateway as it is, unless it looks like a mistyped command.
"""

from __future__ import annotations

import errno
import importlib
import json
import select
import sys
from collections.abc import Iterable

import click

from client import options, output
from client.errors import EncError, NoSuchCommand
from client.state.config import GatewayOptions

COMMANDS = {
    "init": "Connect to a gateway; asks for what you leave out.",
    "login": "Log in until this terminal closes.",
    "logout": "Unmount and lock this terminal's projects, and log out.",
    "new": "Create a project.",
    "ls": "List your projects.",
    "status": "Show what is mounted here, and your sessions on the gateway.",
    "whoami": "Show your name and key on the gateway.",
    "passwd": "Change the passphrase of a project.",
    "slots": "List the ways to unlock a project.",
    "slot": "Add a way to unlock a project (an SSH key, a recovery code), or remove one.",
    "recover": "Get back into a project with its recovery code.",
    "share": "Invite somebody to a project, or list its members.",
    "accept": "Join a project that somebody shares with you.",
    "unshare": "End somebody's access to a project.",
    "leave": "Give up a project that somebody shares with you.",
    "rekey": "Give a locked project a new key, which nobody had before.",
    "mv": "Rename a project.",
    "rm": "Move a project to the gateway's trash.",
    "trash": "List the projects that you removed, and bring one back.",
    "mount": "Unlock a project and mount it here.",
    "unmount": "Unmount a project and lock it.",
    "open": "Mount a project and open a shell or an editor in it.",
    "run": "Run a program on the gateway, in a project.",
    "shell": "Open a shell on the gateway, in a project.",
    "workspace": "Open a shell by SSH where the files are, as an editor does.",
    "ssh-config": "Let ssh, editors and other tools reach the workspace of a project.",
    "forward": "Reach a server that runs in a project's workspace.",
    "push": "Copy a directory into a project.",
    "pull": "Copy a project, or a directory of it, to this machine.",
    "cp": "Copy inside a project, on the gateway.",
    "idle": "Show or set how long a project may be idle.",
    "touch": "Keep a project unlocked: start its idle time again from zero.",
    "fsck": "Check a locked project for damage.",
    "doctor": "Check this machine, and say how to fix what is wrong.",
    "completion": "Print the completion script for a shell.",
    "help": "Explain a command.",
}
_WITH_VALUE = ("--host", "-F", "-i")
"""The options before a command that take a value."""
_BROKEN_PIPE = 141


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`--json` may stand before the command as well."""
        return super().parse_args(ctx, _with_json_after_command(args))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in COMMANDS:
            _refuse_mistyped(cmd_name)
        module = cmd_name.replace("-", "_") if cmd_name in COMMANDS else "other"
        command: click.Command = importlib.import_module(f"client.commands.{module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        return name, self.get_command(ctx, name), args[1:] if name in COMMANDS else args

    def invoke(self, ctx: click.Context) -> object:
        """End silently when nobody reads our output any more. A file system can be the cause of a BrokenPipeError, too:
        ESHUTDOWN is one.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if error.errno != errno.EPIPE or not _is_output_closed():
                sys.exit(_bug(error))
            sys.stdout = sys.stderr = None
            sys.exit(_BROKEN_PIPE)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _with_json_after_command(args: list[str]) -> list[str]:
    at, json_before = 0, False
    while at < len(args) and args[at].startswith("-"):
        json_before |= args[at] == "--json"
        at += 2 if args[at] in _WITH_VALUE else 1
    if not json_before or at >= len(args):
        return args
    return [*(word for word in args[:at] if word != "--json"), args[at], "--json", *args[at + 1 :]]


def _near(word: str, known: Iterable[str]) -> list[str]:
    """What was probably meant: at most one."""
    import difflib

    return difflib.get_close_matches(word, list(known), 1, 0.75)


def _certain(error: click.UsageError) -> click.UsageError:
    """`error`, which guesses less about an unknown option than click does."""
    if not isinstance(error, click.NoSuchOption):
        return error
    near = _near(error.option_name, error.possibilities or [])
    return click.NoSuchOption(error.option_name, possibilities=near, ctx=error.ctx)


def _refuse_mistyped(word: str) -> None:
    """Raise NoSuchCommand for a word that is nearly a command: the gateway need not be asked."""
    if near := _near(word, COMMANDS):
        raise NoSuchCommand(f"there is no command {word[:40]}", f"did you mean `enc {near[0]}`?")


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Each command has --help and --json, and takes --host, -F and -i also after its name.",
)
@click.version_option(package_name="enc-gateway", message="enc %(version)s")
@options.HOST
@options.SSH_CONFIG
@options.IDENTITY
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def group(ctx: click.Context, host: str | None, ssh_config: str | None, identity: str | None, as_json: bool) -> None:
    """Work on encrypted projects on a gateway. Without a command: where you stand, and what to type next."""
    ctx.obj = GatewayOptions(host or "", ssh_config or "", identity or "")
    if ctx.invoked_subcommand is None:
        from client.commands import overview

        overview.show(as_json)


def main() -> None:
    """Run the command line and exit. Never returns; the only place that prints errors."""
    try:
        sys.exit(group.main(prog_name="enc", standalone_mode=False) or 0)
    except EncError as error:
        sys.exit(_failed(error.slug, str(error), error.hint, error.code))
    except click.UsageError as error:
        hint = f"see `{error.ctx.command_path} --help`" if error.ctx else ""
        sys.exit(_failed("usage", " ".join(_certain(error).format_message().split()).rstrip("."), hint, 64))
    except (click.Abort, KeyboardInterrupt) as stop:
        cause = stop.__cause__ if isinstance(stop, click.Abort) else stop  # click makes an Abort of Ctrl-C
        said = str(cause) if isinstance(cause, KeyboardInterrupt) else ""
        sys.exit(_failed("interrupted", said or "interrupted", "", 130))
    except Exception as bug:  # without a traceback: it could contain file names from inside a project
        sys.exit(_bug(bug))


def _is_output_closed() -> bool:
    """Whether standard output or error is a pipe or socket whose other end is closed."""
    waiting = select.poll()
    for fd in (1, 2):
        waiting.register(fd, 0)
    return any(found & (select.POLLERR | select.POLLHUP) for _, found in waiting.poll(0))


def _bug(bug: BaseException) -> int:
    return _failed("internal", f"internal error in enc ({_place(bug)})", "please report it", 70)


def _place(bug: BaseException) -> str:
    """The exception's type, and the file and line of our code; not its message, which could contain a file name."""
    trace = bug.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = trace.tb_frame.f_code.co_filename.rsplit("/", 1)[-1] if trace else ""
    return f"{type(bug).__name__} at {where}:{trace.tb_lineno if trace else 0}"


def _failed(slug: str, message: str, hint: str, code: int) -> int:
    """Print the error: one line on standard error, and with --json an object on standard output. Returns `code`."""
    words = sys.argv[1:]
    if "--json" in (words[: words.index("--")] if "--" in words else words):
        click.echo(json.dumps({"error": slug, "message": message, "hint": hint, "exit": code}))
    end = "" if not hint else f" {hint[:1].upper()}{hint[1:]}" if message.endswith("?") else f"; {hint}"
    output.note(f"enc: {message}{end}".replace("\n", "?"))
    return code
