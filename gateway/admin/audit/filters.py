"""Options of `audit show` and `audit report` that choose records."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from gateway.admin import options
from gateway.admin.keys import known, lookup
from gateway.admin.keys.lookup import Named
from gateway.audit import query
from gateway.audit.query import Event, Filter
from gateway.base import clock
from gateway.config import loader
from gateway.errors import Misconfigured, NoSuchKey
from gateway.identity import timespec

Command = Callable[..., None]

_OUTCOME = click.Choice(("", *query.OUTCOMES))
_OUTCOME_HELP = f"Only records of this outcome: {', '.join(query.OUTCOMES)}."


def filters(command: Command) -> Command:
    """Add the options that choose records."""
    choices = (
        click.option("--principal", default="", help="Only records of this principal (or whose key or label it is)."),
        click.option(
            "--key",
            default="",
            metavar="KEY",
            help="Only records of this key: its fingerprint, the beginning of one, or its label.",
        ),
        click.option("--project", default="", help="Only records of this project."),
        click.option("--verb", default="", help="Only requests for this command, and what followed from them."),
        click.option("--outcome", default="", type=_OUTCOME, metavar="WORD", help=_OUTCOME_HELP),
        click.option(
            "--since", default="", metavar="TIME", help="From this time on: 2026-11-25, 2026-11-25T18:00, or 24h (ago)."
        ),
        click.option("--until", default="", metavar="TIME", help="Up to, but not including, this time."),
    )
    for choice in reversed(choices):
        command = choice(command)
    return command


file_option = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    show_default="paths.audit of the configuration",
    help="The log to read.",
)


def wanted(chosen: dict[str, str], log: str, settings: Path) -> Filter:
    """The filter that the options choose, for the log at `log`. Raises Usage, and NoSuchKey for a name that nobody has.

    Names are looked up among those whom the gateway knows, and then in the log: it outlives keys and projects.
    """
    names = {}
    if chosen["principal"] or chosen["key"]:
        names = _looked_up(chosen, known.everybody(loader.load_usable(str(settings))[0]), log)
    return Filter(**{**chosen, **names, **{name: _utc(chosen[name]) for name in ("since", "until")}})


def _looked_up(chosen: dict[str, str], everybody: tuple[Named, ...], log: str) -> dict[str, str]:
    found = {}
    for option, resolve in (("principal", lookup.find_principal), ("key", lookup.find)):
        if word := chosen[option]:
            try:
                found[option] = resolve(word, everybody, lookup.nobody(word))
            except NoSuchKey:
                found[option] = resolve(word, _in_log(log), lookup.nobody(word, "the log"))
    return found


def _in_log(log: str) -> tuple[Named, ...]:
    """The keys and principals of all records."""
    found: dict[Named, None] = {}
    with contextlib.suppress(FileNotFoundError):
        for event in query.events(log, Filter()):
            for fingerprint in event.keys or ("",):
                found[Named(fingerprint=fingerprint, principal=event.principal)] = None
    return tuple(found)


def _utc(text: str) -> str:
    return clock.utc(timespec.past(text)) if text else ""


def log_path(path: Path | None, settings: Path) -> str:
    """The log to read: the file that was given, or the gateway's, which is read with the account's identity.

    Raises Misconfigured when the gateway's directory for it is missing.
    """
    if path:
        return os.path.abspath(path)
    found = options.load_usable_as_account(settings).paths_audit
    if not os.path.isdir(os.path.dirname(found)):
        raise Misconfigured(f"the directory of {found} is missing", "`enc-gateway setup` makes it")
    return found


def reading(path: Path | None, log: str, wanted: Filter) -> Iterator[Event]:
    """The chosen records, read lazily; none if the gateway has recorded nothing yet. Raises FileNotFoundError for a
    given file that is missing.
    """
    try:
        yield from query.events(log, wanted)
    except FileNotFoundError:
        if path:
            raise
