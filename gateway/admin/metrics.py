"""`enc-gateway metrics`: the gateway's metrics in Prometheus's text format, printed or in a file for node_exporter.

Counters count the records in the audit log and its closed logs, which are not read again if they have sums
(gateway.audit.sums). When rotation deletes an old log (audit.keep), they go down, which Prometheus treats as a counter
reset.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import click

from gateway.admin import options, output, vaults
from gateway.audit import history, query
from gateway.audit.tally import Tally
from gateway.base import files, privileges
from gateway.base.records import Record
from gateway.config.schema import Config
from gateway.identity import authorized_keys, enrolment
from gateway.session import registry

Labels = tuple[tuple[str, str], ...]


class Metric(Record):
    """`name` lacks the prefix `enc_`. `kind` is counter or gauge. `samples` has the value for each set of labels."""

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
    listed = vaults.collect(settings)
    keys = authorized_keys.load(settings.paths_authorized_keys)
    now = time.time()
    live = registry.live(settings.paths_run)
    waiting = len(enrolment.pending(settings.paths_enrolments))
    log = settings.paths_audit
    size = os.path.getsize(log) if os.path.exists(log) else 0
    states = Counter(one.state for one in listed)
    return (
        _gauge("info", "Version of the gateway.", {(("version", version("enc-gateway")),): 1}),
        _gauge("sessions", "Live sessions.", {(): len(live)}),
        _gauge("views", "Unlocked projects.", {(): sum(len(one.views) for one in live)}),
        _gauge("vaults", "Projects, by state.", {(("state", name),): states[name] for name in _STATES}),
        _gauge("vaults_ownerless", "Projects whose principal has no key.", {(): sum(one.ownerless for one in listed)}),
        _gauge("vault_bytes", "Disk usage of all projects.", {(): sum(one.size for one in listed)}),
        _gauge("keys", "Authorized keys that are valid.", {(): sum(_is_valid(key, now) for key in keys)}),
        _gauge("keys_handed_in", "Keys that wait for approval.", {(): waiting}),
        _gauge("audit_bytes", "Size of the audit log.", {(): size}),
    )


_STATES = ("locked", "unlocked", "damaged", "unreadable")


def _is_valid(key: authorized_keys.Entry, now: float) -> bool:
    return not (key.problem or key.invitation_for or key.has_expired(now))


def _gauge(name: str, doc: str, samples: Mapping[Labels, float]) -> Metric:
    return Metric(name=name, kind="gauge", doc=doc, samples=samples)


def _counted(settings: Config) -> tuple[Metric, ...]:
    tally = history.tally(settings.paths_audit) if os.path.exists(settings.paths_audit) else Tally()
    newest = query.moment(tally.newest)
    counted, others = tally.counted, tally.counted["others"]
    return (
        _counter("requests_total", "Commands, by decision.", "decision", counted["decisions"]),
        _counter("refusals_total", "Refused commands.", "reason", counted["refusals"]),
        _counter("locks_total", "Locks.", "reason", counted["locked"]),
        _counter("unlock_failures_total", "Failed unlocks.", "reason", counted["unlock-failed"]),
        _counter("lock_incomplete_total", "Locks that left something behind.", "reason", counted["lock-incomplete"]),
        _total("faults_total", "Errors of the gateway itself.", others["fault"]),
        _total("throttled_total", "Requests beyond a limit, counted and not recorded.", others["throttled"]),
        _gauge("audit_newest_seconds", "When the newest audit record was written.", {(): newest}),
    )


def _total(name: str, doc: str, number: float) -> Metric:
    return Metric(name=name, kind="counter", doc=doc, samples={(): number})


def _counter(name: str, doc: str, label: str, counted: Counter[str]) -> Metric:
    """A counter with one sample for each value of `label`."""
    samples: dict[Labels, float] = {((label, value),): float(times) for value, times in sorted(counted.items())}
    return Metric(name=name, kind="counter", doc=doc, samples=samples)


@click.command()
@click.option(
    "--textfile",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the metrics to this file, for node_exporter.",
)
@options.configured
@options.as_json
def metrics(textfile: Path | None, settings: Config, as_json: bool) -> None:
    """Print metrics in Prometheus's text format."""
    found = collect(settings)
    if textfile:
        with privileges.root():
            files.replace(textfile, text(found), 0o644)
    rows = [
        {"name": f"enc_{one.name}", "labels": dict(labels), "value": value}
        for one in found
        for labels, value in one.samples.items()
    ]
    words = f"wrote {textfile}" if textfile else text(found).rstrip()
    output.result({"metrics": rows}, words, as_json)
