"""`enc-gateway audit show`."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.admin.audit.filters import Source, file_option, filters, host_option, source, wanted
from gateway.admin.keys import lookup
from gateway.audit import following, peers, wording
from gateway.audit.query import Event, Filter
from gateway.base import json
from gateway.config import loader
from gateway.errors import EncError
from gateway.identity import authorized_keys

_FOLLOWED = 20
"""Records that --follow shows before it waits, unless -n says otherwise."""


class _Table:
    """Words for events: the label of a key beside its fingerprint, or at a terminal instead of it."""

    def __init__(self, settings: Path, has_hosts: bool) -> None:
        self._has_hosts = has_hosts
        self.header = (_HEADER[0], *_HOST * self._has_hosts, *_HEADER[1:])
        path = loader.load_usable(str(settings))[0].paths_authorized_keys
        try:
            named = lookup.of_entries(authorized_keys.load(path))
        except (EncError, OSError):
            named = ()
        self._labels = {one.fingerprint: one.label for one in named}
        self._prints = output.Fingerprints(self._labels)

    def row(self, event: Event) -> tuple[str, ...]:
        fingerprint = next(iter(event.keys), "")
        label = self._labels.get(fingerprint, "")
        key = label if label and output.at_terminal() else self._prints.named(fingerprint, label)
        principal = self._prints.short(event.principal)
        when = output.clock_time(event.time)
        host = (event.host,) * self._has_hosts
        return when, *host, principal or "-", key or "-", event.address or "-", wording.describe(event)


_HEADER = ("TIME", "PRINCIPAL", "KEY", "FROM", "WHAT")
_HOST = ("HOST",)
"""A column of a cluster's logs."""


@click.command()
@filters
@click.option("-n", "--last", type=click.IntRange(1), help="Only the newest so many records.")
@click.option("-f", "--follow", is_flag=True, help="Go on with each new record, until Ctrl-C.")
@click.option("--all", "everything", is_flag=True, help="In a cluster, also what hosts note of each other's logs.")
@host_option
@file_option
@options.config_path
@options.as_json
def show(
    path: Path | None,
    settings: Path,
    host: str,
    last: int | None,
    follow: bool,
    everything: bool,
    as_json: bool,
    **chosen: str,
) -> None:
    """Print the records as a table, or as JSON. In a cluster, those of all hosts by time.

    With --follow, --json prints an object a line.
    """
    log = source(path, settings, host)
    choice = wanted(chosen, log, settings)
    table = _Table(settings, log.is_of_cluster)
    with log.readable():
        if follow:
            _follow(log, choice, last or _FOLLOWED, everything, table, as_json)
            return
        events = _without_heads(log.events(choice), everything)
        kept = tuple(deque(events, maxlen=last) if last else events)
    words = output.table(table.header, [table.row(event) for event in kept], "no records", whole=("TIME", "FROM"))
    output.result({"records": [event.fields() for event in kept]}, words, as_json)


def _without_heads(events: Iterator[Event], everything: bool) -> Iterator[Event]:
    return (event for event in events if everything or event.event != peers.EVENT)


def _follow(log: Source, choice: Filter, last: int, everything: bool, table: _Table, as_json: bool) -> None:
    kept: deque[Event] = deque(maxlen=last)
    waiting = False
    try:
        for event in following.follow(log.logs, choice):
            if event is not None and event.event == peers.EVENT and not everything:
                continue
            if event is not None and not waiting:
                kept.append(event)
                continue
            waiting = True
            _print(kept if event is None else [event], table, as_json)
    except KeyboardInterrupt:
        return


def _print(events: Iterable[Event], table: _Table, as_json: bool) -> None:
    for event in events:
        words = json.dumps(event.fields()) if as_json else output.visible("  ".join(table.row(event)))
        click.echo(words)
    sys.stdout.flush()
