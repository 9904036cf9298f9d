"""How `enc-gateway` ends: each error is one line, with --json an object, with an exit code of docs/exit-codes.md."""

from __future__ import annotations

import difflib
import errno
import select
import sys
from collections.abc import Mapping
from typing import Any

import click

from gateway.admin import output
from gateway.base import json
from gateway.errors import Elsewhere, EncError, Interrupted, Misconfigured, Usage, is_storage_lost

_BROKEN_PIPE = 141


class Group(click.Group):
    """A group that names the command that somebody may have meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if self.get_command(ctx, word) is None and not word.startswith("-"):
            likely = difflib.get_close_matches(word, self.list_commands(ctx), 1)
            meant = f"; did you mean `{ctx.command_path} {likely[0]}`?" if likely else ""
            raise click.UsageError(f"there is no command {word!r}{meant}", ctx)
        return super().resolve_command(ctx, args)


class Program(Group):
    """The whole program: prints the errors of all commands."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line and exit. Never returns."""
        try:
            sys.exit(super().main(*args, **{**extra, "standalone_mode": False}) or 0)
        except EncError as error:
            there = {"host": error.host, "address": error.address} if isinstance(error, Elsewhere) else {}
            sys.exit(_failed(error.slug, str(error), error.hint, error.code, there))
        except click.exceptions.NoArgsIsHelpError as error:
            sys.exit(_without_command(error.ctx))
        except click.UsageError as error:
            hint = f"`{error.ctx.command_path} --help` says more" if error.ctx else ""
            sys.exit(_failed(Usage.slug, _on_one_line(error.format_message()), hint, Usage.code))
        except click.ClickException as error:
            sys.exit(_failed(Usage.slug, _on_one_line(error.format_message()), "", Usage.code))
        except (click.Abort, KeyboardInterrupt):
            sys.exit(_failed(Interrupted.slug, "interrupted", "", Interrupted.code))
        except OSError as error:
            sys.exit(_of_system(error))

    def invoke(self, ctx: click.Context) -> Any:
        """click would end silently for each EPIPE."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            sys.exit(_of_system(error))


def _of_system(error: OSError) -> int:
    """A system call has failed. Only if nobody reads our output any more, there is nobody to tell. Returns the exit
    code.
    """
    if error.errno == errno.EPIPE and _is_output_closed():
        sys.stdout = sys.stderr = None
        return _BROKEN_PIPE
    message = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    if is_storage_lost(error):
        hint = "its file system does not work on this host now; `enc-gateway doctor` says more"
        return _failed(Misconfigured.slug, message, hint, Misconfigured.code)
    return _failed(EncError.slug, message, "", EncError.code)


def _is_output_closed() -> bool:
    """Whether standard output or error is a pipe or socket whose other end is closed."""
    waiting = select.poll()
    for fd in (1, 2):
        waiting.register(fd, 0)
    return any(found & (select.POLLERR | select.POLLHUP) for _, found in waiting.poll(0))


def _without_command(ctx: click.Context | None) -> int:
    """A group of commands was named without one: show which it has. Returns the exit code."""
    group = ctx.command_path if ctx else "enc-gateway"
    if ctx is None or "--json" in sys.argv:
        return _failed(Usage.slug, f"{group}: which command?", f"`{group} --help` lists them", Usage.code)
    click.echo(ctx.get_help(), err=True)
    return Usage.code


def _on_one_line(words: str) -> str:
    """click's words, which may have several lines and begin with a capital."""
    line = " ".join(words.split()).rstrip(".")
    return line[:1].lower() + line[1:]


def _failed(slug: str, message: str, hint: str, code: int, more: Mapping[str, str] | None = None) -> int:
    """Print the error as one line on standard error, and with --json as an object, which has `more`. Returns `code`."""
    if "--json" in sys.argv:
        click.echo(json.dumps({"error": slug, "message": message, "hint": hint, "exit": code, **(more or {})}))
    joint = " " if message.endswith("?") else "; "
    words = f"{message}{f'{joint}{hint}' if hint else ''}"
    output.note(output.visible(f"enc-gateway: {words}"))  # it may have labels of keys, and names of files
    return code
