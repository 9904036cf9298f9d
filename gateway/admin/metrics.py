"""`enc-gateway metrics`: the gateway's metrics in Prometheus's text format, printed or in a file for node_exporter.

Counters count the records in the audit log and its closed logs, which are not read again if they have sums
(gateway.audit.sums). When rotation deletes an old log (audit.keep), they go down, which Prometheus treats as a counter
reset. In a cluster they count the records of all hosts, each with the label `host`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import click

from gateway.admin import hosts, options, output, vaults
from gateway.admin.hosts import Host
from gateway.audit import history, query
from gateway.audit.tally import Tally
from gateway.base import files, privileges
from gateway.base.records import Record
from gateway.cluster import audit_logs
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
    return (*_now(settings), *_of_hosts(settings), *_counted(settings))


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


def _of_hosts(settings: Config) -> tuple[Metric, ...]:
    """In a cluster, what this host knows of all."""
    found = hosts.all_of(settings)

    def gauge(name: str, doc: str, value: Callable[[Host], float]) -> Metric:
        return _gauge(name, doc, {(("host", one.name),): value(one) for one in found})

    if not found:
        return ()
    return (
        gauge("host_sessions", "Live sessions of each host of the cluster.", lambda one: len(one.sessions)),
        gauge("host_views", "Unlocked projects of each host of the cluster.", lambda one: one.unlocked),
        gauge("host_silent_seconds", "How long a host has not answered, 0 if it does.", lambda one: one.silent_for),
        gauge("host_drained", "Whether nothing new begins on a host.", lambda one: one.is_drained),
    )


def _counted(settings: Config) -> tuple[Metric, ...]:
    tallies = dict(_tallies(settings))
    return (
        _counter("requests_total", "Commands, by decision.", tallies, "decisions", "decision"),
        _counter("refusals_total", "Refused commands.", tallies, "refusals"),
        _counter("locks_total", "Locks.", tallies, "locked"),
        _counter("unlock_failures_total", "Failed unlocks.", tallies, "unlock-failed"),
        _counter("lock_incomplete_total", "Locks that left something behind.", tallies, "lock-incomplete"),
        _total("faults_total", "Errors of the gateway itself.", tallies, "fault"),
        _total("throttled_total", "Requests beyond a limit, counted and not recorded.", tallies, "throttled"),
        _gauge(
            "audit_newest_seconds",
            "When the newest audit record was written.",
            {host: query.moment(tally.newest) for host, tally in tallies.items()},
        ),
    )


def _tallies(settings: Config) -> Iterator[tuple[Labels, Tally]]:
    """The counts of each host's log, by its label; a gateway that is alone has none."""
    for log in audit_logs.logs(settings):
        with privileges.root() if log.is_copy else contextlib.nullcontext():
            tally = history.tally(log.path) if os.path.exists(log.path) else Tally()
        yield (("host", log.host),) if log.host else (), tally


def _total(name: str, doc: str, tallies: Mapping[Labels, Tally], kind: str) -> Metric:
    samples = {host: float(tally.counted["others"][kind]) for host, tally in tallies.items()}
    return Metric(name=name, kind="counter", doc=doc, samples=samples)


def _counter(name: str, doc: str, tallies: Mapping[Labels, Tally], counter: str, label: str = "reason") -> Metric:
    """A counter of what the tallies count there, with one sample for each value of `label`."""
    samples: dict[Labels, float] = {
        ((label, value), *host): float(times)
        for host, tally in tallies.items()
        for value, times in sorted(tally.counted[counter].items())
    }
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
