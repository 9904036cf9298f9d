"""`enc-gateway audit show`."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.admin.audit.filters import file_option, filters, log_path, reading, wanted
from gateway.admin.keys import lookup
from gateway.audit import following, wording
from gateway.audit.query import Event, Filter
from gateway.base import json
from gateway.config import loader
from gateway.errors import EncError
from gateway.identity import authorized_keys

_FOLLOWED = 20
"""Records that --follow shows before it waits, unless -n says otherwise."""


class _Table:
    """Words for events: the label of a key beside its fingerprint, or at a terminal instead of it."""

    def __init__(self, settings: Path) -> None:
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
        return when, principal or "-", key or "-", event.address or "-", wording.describe(event)


_HEADER = ("TIME", "PRINCIPAL", "KEY", "FROM", "WHAT")


@click.command()
@filters
@click.option("-n", "--last", type=click.IntRange(1), help="Only the newest so many records.")
@click.option("-f", "--follow", is_flag=True, help="Go on with each new record, until Ctrl-C.")
@file_option
@options.config_path
@options.as_json
def show(path: Path | None, settings: Path, last: int | None, follow: bool, as_json: bool, **chosen: str) -> None:
    """Print the records as a table, or as JSON.

    With --follow, --json prints an object a line.
    """
    log = log_path(path, settings)
    choice = wanted(chosen, log, settings)
    table = _Table(settings)
    if follow:
        _follow(log, choice, last or _FOLLOWED, table, as_json)
        return
    events: Iterable[Event] = reading(path, log, choice)
    kept = tuple(deque(events, maxlen=last) if last else events)
    words = output.table(_HEADER, [table.row(event) for event in kept], "no records", whole=("TIME", "FROM"))
    output.result({"records": [event.fields() for event in kept]}, words, as_json)


def _follow(log: str, choice: Filter, last: int, table: _Table, as_json: bool) -> None:
    kept: deque[Event] = deque(maxlen=last)
    waiting = False
    try:
        for event in following.follow(log, choice):
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
