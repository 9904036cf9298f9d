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
from gateway.audit.archives import Log
from gateway.audit.query import Event, Filter
from gateway.base import clock, privileges
from gateway.base.records import Record
from gateway.cluster import audit_logs
from gateway.config import loader
from gateway.config.schema import Config
from gateway.errors import Misconfigured, NoSuchKey, Usage
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


host_option = click.option("--host", default="", metavar="NAME", help="Of a cluster, only the log of this host.")


def wanted(chosen: dict[str, str], source: Source, settings: Path) -> Filter:
    """The filter that the options choose, for these logs. Raises Usage, and NoSuchKey for a name that nobody has.

    Names are looked up among those whom the gateway knows, and then in the log: it outlives keys and projects.
    """
    names = {}
    if chosen["principal"] or chosen["key"]:
        names = _looked_up(chosen, known.everybody(loader.load_usable(str(settings))[0]), source)
    return Filter(**{**chosen, **names, **{name: _utc(chosen[name]) for name in ("since", "until")}})


def _looked_up(chosen: dict[str, str], everybody: tuple[Named, ...], source: Source) -> dict[str, str]:
    found = {}
    for option, resolve in (("principal", lookup.find_principal), ("key", lookup.find)):
        if word := chosen[option]:
            try:
                found[option] = resolve(word, everybody, lookup.nobody(word))
            except NoSuchKey:
                found[option] = resolve(word, _in_logs(source), lookup.nobody(word, "the log"))
    return found


def _in_logs(source: Source) -> tuple[Named, ...]:
    """The keys and principals of all records."""
    found: dict[Named, None] = {}
    with source.readable(), contextlib.suppress(FileNotFoundError):
        for event in source.events(Filter()):
            for fingerprint in event.keys or ("",):
                found[Named(fingerprint=fingerprint, principal=event.principal)] = None
    return tuple(found)


def _utc(text: str) -> str:
    return clock.utc(timespec.past(text)) if text else ""


class Source(Record):
    """What is read: the `logs`, by time as one; only that of `host` unless it is "". `config` is the gateway's, None
    for a file that was given.
    """

    logs: tuple[Log, ...]
    config: Config | None
    host: str = ""

    @property
    def is_of_cluster(self) -> bool:
        return bool(self.logs[0].host)

    def readable(self) -> contextlib.AbstractContextManager[None]:
        """A context in which all logs can be read: the copies of other hosts' logs are root's. What the account may
        have put in its own log's place does no harm then: no link is followed, and nothing is written.
        """
        return privileges.root() if any(log.is_copy for log in self.logs) else contextlib.nullcontext()

    def events(self, wanted: Filter) -> Iterator[Event]:
        """The chosen records, read lazily; none if the gateway has recorded nothing yet. Raises FileNotFoundError for a
        given file that is missing.
        """
        return query.merged(self.logs, wanted) if self.config else query.events(self.logs[0].path, wanted)


def source(path: Path | None, settings: Path, host: str) -> Source:
    """The file that was given, or the gateway's log, in a cluster those of all hosts or of `host`. The gateway's own is
    read with the account's identity.

    Raises Misconfigured when the gateway's directory for it is missing, and Usage for a host that has no log.
    """
    if path:
        if host:
            raise Usage("--file and --host exclude each other")
        return Source(logs=(Log(path=os.path.abspath(path)),), config=None)
    config = options.load_usable_as_account(settings)
    if not os.path.isdir(os.path.dirname(config.paths_audit)):
        raise Misconfigured(f"the directory of {config.paths_audit} is missing", "`enc-gateway setup` makes it")
    return Source(logs=audit_logs.logs(config, host), config=config, host=host)
