"""How `enc-gateway` ends: each error is one line, with --json an object, with an exit code of docs/exit-codes.md."""

from __future__ import annotations

import difflib
import sys
from typing import Any

import click

from gateway.admin import output
from gateway.base import json
from gateway.errors import EncError, Interrupted, Usage

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
            sys.exit(_failed(error.slug, str(error), error.hint, error.code))
        except click.exceptions.NoArgsIsHelpError as error:
            sys.exit(_without_command(error.ctx))
        except click.UsageError as error:
            hint = f"`{error.ctx.command_path} --help` says more" if error.ctx else ""
            sys.exit(_failed(Usage.slug, _on_one_line(error.format_message()), hint, Usage.code))
        except click.ClickException as error:
            sys.exit(_failed(Usage.slug, _on_one_line(error.format_message()), "", Usage.code))
        except (click.Abort, KeyboardInterrupt):
            sys.exit(_failed(Interrupted.slug, "interrupted", "", Interrupted.code))
        except BrokenPipeError:
            sys.stdout = None
            sys.exit(_BROKEN_PIPE)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            sys.exit(_failed(EncError.slug, f"{where}{error.strerror}", "", EncError.code))


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


def _failed(slug: str, message: str, hint: str, code: int) -> int:
    """Print the error as one line on standard error, and with --json as an object. Returns `code`."""
    if "--json" in sys.argv:
        click.echo(json.dumps({"error": slug, "message": message, "hint": hint, "exit": code}))
    joint = " " if message.endswith("?") else "; "
    words = f"{message}{f'{joint}{hint}' if hint else ''}"
    output.note(output.visible(f"enc-gateway: {words}"))  # it may have labels of keys, and names of files
    return code
