"""`enc-gateway metrics`: the gateway in Prometheus's text format, on standard output or for node_exporter.

Counters count what the audit log has now, so they begin again when the log is rotated, as counters may.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import click

from gateway import auditview, authorized_keys, enrolment, sessions
from gateway.admin import account, files, options, projects, timeline
from gateway.auditview import Event, Filter
from gateway.config import Config
from gateway.record import Record

Labels = tuple[tuple[str, str], ...]


class Metric(Record):
    """A name without its prefix, counter or gauge, what it means, and its samples by labels."""

    name: str
    kind: str
    doc: str
    samples: Mapping[Labels, float]


def text(metrics: Iterable[Metric]) -> str:
    """The metrics in the text format, version 0.0.4."""
    lines = []
    for metric in metrics:
        name = f"enc_{metric.name}"
        lines += [f"# HELP {name} {metric.doc}", f"# TYPE {name} {metric.kind}"]
        for labels, value in metric.samples.items():
            named = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels)
            lines.append(f"{name}{'{' + named + '}' if named else ''} {value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def collect(settings: Config) -> tuple[Metric, ...]:
    """All metrics. Raises Misconfigured when the gateway's files cannot be read."""
    return (*_now(settings), *_counted(settings))


def _now(settings: Config) -> tuple[Metric, ...]:
    kept = projects.look(settings)
    keys = authorized_keys.load(settings.paths_authorized_keys)
    now = time.time()
    with account.acting(settings):
        live = sessions.live(settings.paths_run)
        waiting = len(enrolment.pending(settings.paths_enrolments))
        log = settings.paths_audit
        size = os.path.getsize(log) if os.path.exists(log) else 0
    states = Counter(one.state for one in kept)
    return (
        _gauge("info", "Version of the gateway.", {(("version", version("enc-gateway")),): 1}),
        _gauge("sessions", "Live sessions.", {(): len(live)}),
        _gauge("views", "Unlocked projects.", {(): sum(len(one.views) for one in live)}),
        _gauge("vaults", "Projects, by state.", {(("state", name),): states[name] for name in _STATES}),
        _gauge("vaults_ownerless", "Projects whose principal has no key.", {(): sum(one.ownerless for one in kept)}),
        _gauge("vault_bytes", "What all projects take on the disk.", {(): sum(one.size for one in kept)}),
        _gauge("keys", "Authorized keys that are good.", {(): sum(_good(key, now) for key in keys)}),
        _gauge("keys_handed_in", "Keys that wait to be approved.", {(): waiting}),
        _gauge("audit_bytes", "Size of the audit log.", {(): size}),
    )


_STATES = ("locked", "unlocked", "damaged")


def _good(key: authorized_keys.Entry, now: float) -> bool:
    return not (key.problem or key.invites or now > key.expires)


def _gauge(name: str, doc: str, samples: Mapping[Labels, float]) -> Metric:
    return Metric(name=name, kind="gauge", doc=doc, samples=samples)


def _counted(settings: Config) -> tuple[Metric, ...]:
    """What the audit log has, by words from fixed sets: no name of a person becomes a label."""
    with account.acting(settings):
        there = os.path.exists(settings.paths_audit)
        events = tuple(auditview.events(settings.paths_audit, Filter())) if there else ()
    asked = [one for one in events if one.event == "request"]
    newest = timeline.seconds(events[-1].time) if events else 0.0
    return (
        _counter("requests_total", "Commands, by decision.", "decision", (one.decision for one in asked)),
        _counter("refusals_total", "Refused commands.", "reason", (e.reason for e in asked if e.decision == "deny")),
        _counter("locks_total", "Locks.", "reason", (one.reason for one in events if one.event == "locked")),
        _counter("unlock_failures_total", "Failed unlocks.", "reason", _reasons(events, "unlock-failed")),
        _counter("lock_incomplete_total", "Locks with something left.", "reason", _reasons(events, "lock-incomplete")),
        _counter("faults_total", "Errors of the gateway itself.", "", ("" for one in events if one.event == "fault")),
        _gauge("audit_newest_seconds", "When the newest audit record was written.", {(): newest}),
    )


def _reasons(events: Iterable[Event], name: str) -> Iterator[str]:
    return (one.reason for one in events if one.event == name)


def _counter(name: str, doc: str, label: str, values: Iterable[str]) -> Metric:
    """How often each value is there; without a label, how many there are."""
    counted = sorted(Counter(values).items())
    if not label:
        return Metric(name=name, kind="counter", doc=doc, samples={(): float(sum(times for _, times in counted))})
    samples: dict[Labels, float] = {((label, value),): float(times) for value, times in counted}
    return Metric(name=name, kind="counter", doc=doc, samples=samples)


@click.command()
@click.option("--textfile", type=click.Path(path_type=Path, dir_okay=False), help="Write there, for node_exporter.")
@options.configured
@options.as_json
def metrics(textfile: Path | None, settings: Config, as_json: bool) -> None:
    """Print the gateway's numbers in Prometheus's text format."""
    found = collect(settings)
    if textfile:
        files.replace(textfile, text(found))
    rows = [
        {"name": f"enc_{one.name}", "labels": dict(labels), "value": value}
        for one in found
        for labels, value in one.samples.items()
    ]
    words = f"wrote {textfile}" if textfile else text(found).rstrip()
    options.result({"metrics": rows}, words, as_json)
