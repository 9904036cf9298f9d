"""Why something ended, failed or was refused: each reason's slug, and its words.

This is the gateway's only table of reasons. Audit records and `--json` events carry the slug (docs/protocol.md). The
client words the slugs itself, because it imports nothing from here.
"""

from __future__ import annotations

from gateway.base.records import Record
from gateway.identity import authorized_keys


class Reason(Record):
    """`user` follows "locked PROJECT: " on the user's terminal; `sysadmin` stands alone in the report.

    `asked_for`: the user ended it, so a held session exits with 0. `abrupt`: it may have cut off somebody's work, so
    the report marks it. `in_close`: a protocol.Close request may give this reason.
    """

    slug: str
    user: str
    sysadmin: str
    asked_for: bool = False
    abrupt: bool = False
    in_close: bool = False


_TABLE = (
    Reason(slug="unmount", user="as you asked", sysadmin="the user locked it", asked_for=True),
    Reason(slug="logout", user="you logged out", sysadmin="the user logged out", asked_for=True, in_close=True),
    Reason(
        slug="idle-view",
        user="idle (no file in it was read or written)",
        sysadmin="idle: no file in the project was read or written",
    ),
    Reason(
        slug="idle-session",
        user="idle (no activity in the session)",
        sysadmin="idle: the session had no activity",
    ),
    Reason(slug="hangup", user="the connection ended", sysadmin="the connection ended"),
    Reason(
        slug="revoked",
        user=authorized_keys.REVOKED,
        sysadmin="the key was revoked, or it expired",
        abrupt=True,
        in_close=True,
    ),
    Reason(
        slug="unshared",
        user="it is not shared with you any more",
        sysadmin="the project's owner does not share it with this member any more",
        abrupt=True,
        in_close=True,
    ),
    Reason(
        slug="gave-up",
        user="you left the project",
        sysadmin="the member left the project for good",
        asked_for=True,
        in_close=True,
    ),
    Reason(
        slug="killed",
        user="your sysadmin ended the session",
        sysadmin="a sysadmin killed the session",
        abrupt=True,
        in_close=True,
    ),
    Reason(
        slug="paused",
        user="the gateway is paused for maintenance",
        sysadmin="a sysadmin paused the gateway with --lock-now",
        abrupt=True,
        in_close=True,
    ),
    Reason(
        slug="shutdown",
        user="the gateway is shutting down",
        sysadmin="the gateway or its host shut down",
        abrupt=True,
    ),
    Reason(
        slug="storage-lost",
        user="the gateway has lost the disk of its vaults; what was written last may be missing",
        sysadmin="the file system of the vaults did not answer, or threw this host out",
        abrupt=True,
    ),
    Reason(
        slug="keys-stale",
        user="the gateway cannot tell any more whose keys are good",
        sysadmin="this host's copy of authorized_keys was too old",
        abrupt=True,
    ),
    Reason(
        slug="failed",
        user="gocryptfs ended unexpectedly",
        sysadmin="gocryptfs or the gateway failed",
        abrupt=True,
    ),
    Reason(
        slug="found-dead",
        user="the session was found dead",
        sysadmin="the session died without recording its end, and was found later",
        abrupt=True,
    ),
)

REASONS = {reason.slug: reason for reason in _TABLE}


_REFUSALS = {
    "usage": "the command was used wrongly",
    "unknown-command": "no such command",
    "not-allowed-here": "the configuration does not allow it",
    "denied": "this principal or key may not",
    "wrong-secret": "wrong passphrase, signature or recovery code",
    "elsewhere": "another host of the cluster has it unlocked",
    "busy": "another session has it, or a limit is reached",
    "paused": "the gateway is paused",
    "misconfigured": "the gateway's host or configuration is wrong",
    "not-unlocked": "the project is locked",
    "no-such-project": "there is no such project",
    "no-such-key": "the key is not listed",
    "damaged-vault": "the project is damaged",
    "cannot-create": "it exists already, or could not be made",
    "unread": "a part could not be read",
    "dropped": "the connection ended before",
    "stopped": "a limit of programs was reached",
    "interrupted": "it was interrupted",
    "discarded": "the user gave it up",
    "internal": "an error of the gateway",
    "not-listed": "run.network does not list it",
    "private-address": "the name leads to an address that is not public",
    "no-address": "the name has no address",
    "malformed": "no request for a target",
    "too-many": "the program has reached too many targets",
    "not-recorded": "the program was refused too many targets to record each",
    "no-instance": "no inotify instance is left: see docs/administration.md",
    "watch-limit": "no inotify watch is left: see docs/administration.md",
    "overflow": "too many changes at once to follow",
    "uncertain": "not every directory is known to be watched",
}
"""Why something was refused or failed: the slugs of gateway.errors, and those of `tracking` and `egress`."""


def for_sysadmin(slug: str) -> str:
    """The sysadmin's words for a slug that was read from a log; "" when this version does not know it."""
    return REASONS[slug].sysadmin if slug in REASONS else _REFUSALS.get(slug, "")


def of_refusal(slug: str) -> str:
    """The same for what was refused or failed, not ended: a pause refuses without --lock-now too."""
    return _REFUSALS.get(slug) or for_sysadmin(slug)


def is_abrupt(slug: str) -> bool:
    """As Reason.abrupt. A slug that this version does not know counts as abrupt; "" (no reason) does not."""
    return REASONS[slug].abrupt if slug in REASONS else slug != ""
