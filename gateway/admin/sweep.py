"""`enc-gateway sweep`, which the housekeeping timer runs."""

from __future__ import annotations

import os
import sys
import time

import click

from gateway.admin import options, output
from gateway.audit import administration
from gateway.audit.log import AuditLog
from gateway.base import files, privileges, text
from gateway.cluster import places, quotas
from gateway.config.schema import Config
from gateway.embedded import layout
from gateway.errors import Misconfigured
from gateway.identity import lint
from gateway.limits import rates
from gateway.session import cleanup
from gateway.vault import garbage
from gateway.vault.members import repair


@click.command()
@options.configured
def sweep(settings: Config) -> None:
    """Remove leftovers of crashes, and old removed projects.

    Members of shared projects find them by links, which are made to agree with the projects' slots.

    In a cluster, limits.disk is set as the quota of each principal on CephFS.

    Removed projects are deleted after trash.days. Errors in authorized_keys are recorded in the audit log: the person
    whose key it is only sees that sshd does not know it. Exits with 75 when something could not be removed or set.
    """
    log = AuditLog(settings.paths_audit, settings.audit_syslog, required=False)
    for error in _errors(settings):
        log.write("misconfigured", where=error)
    _tell_throttled(settings)
    sessions = cleanup.sweep(settings.paths_run, administration.log(settings), "enc-gateway sweep")
    removed = garbage.sweep(settings.paths_vaults, settings.trash_days)
    staged = removed.staged + _remove_staged(settings)
    links = repair.repair(settings.paths_vaults)
    quota_problems = quotas.apply(settings)
    found = (
        (sessions, "dead session"),
        (removed.drafts, "unfinished project"),
        (removed.trash, "project in the trash", "projects in the trash"),
        (staged, "unfinished file"),
        (links.removed, "member's link that led nowhere", "members' links that led nowhere"),
    )
    words = [text.counted(*one) for one in found if one[0]]
    click.echo(f"removed: {', '.join(words)}" if words else "nothing to remove")
    if links.put:
        put = text.counted(links.put, "member's link", "members' links")
        click.echo(f"put back: {put}")
    for problem in (*removed.problems, *links.problems):
        click.echo(f"not removed: {output.visible(problem)}", err=True)
    for problem in quota_problems:
        click.echo(f"not set: {output.visible(problem)}", err=True)
    sys.exit(Misconfigured.code if removed.problems or links.problems or quota_problems else 0)


def _tell_throttled(settings: Config) -> None:
    """Record the requests that were only counted, of principals who have made none since."""
    log = AuditLog(settings.paths_audit, settings.audit_syslog)
    rates.sweep(
        settings.paths_run, lambda principal, fields: log.bound(principal=principal).write("throttled", **fields)
    )


def _remove_staged(settings: Config) -> int:
    """Remove what killed processes left beside the files that they were replacing; how many. Those in the directories
    of authorized_keys and of the pause are root's.
    """
    of_account = (settings.paths_enrolments, settings.paths_run, os.path.dirname(settings.paths_audit))
    removed = sum(map(files.remove_abandoned, of_account))
    with privileges.root():
        of_root = {
            os.path.dirname(os.path.realpath(settings.paths_authorized_keys)),
            os.path.dirname(os.path.realpath(places.keys(settings))),
            os.path.dirname(settings.paths_pause),
        }
        return removed + sum(map(files.remove_abandoned, of_root))


def _errors(settings: Config) -> list[str]:
    """The errors in authorized_keys: lines that let nobody log in, or not as the sysadmin meant."""
    path = places.keys(settings)
    try:
        found = lint.examine(path, time.time(), layout.judged_up_to(settings.paths_authorized_keys))
        return [one.located(path) for one in found if one.level is lint.Level.ERROR]
    except (Misconfigured, OSError) as error:
        return [str(error)]
