"""What an audit record says, in words: for the tables of `audit show` and of the report.

The record on the disk says `decision` allow or deny (docs/protocol.md); for people a request is allowed or refused.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.audit import reasons
from gateway.audit.query import Event

Words = Callable[[Event], str]

_HIDDEN = frozenset(
    ("key_type", "at_prompt", "took_ms", "anchor", "forced", "key", "invite", "by", "program", "network")
)
"""Details that the words or another column have, or that nobody reads a table for. `audit show --json` has them."""


def describe(event: Event) -> str:
    """One phrase, without time, principal, key and address. It has text from the log: make it visible."""
    words, used = _WORDS.get(event.event, (_other, frozenset()))
    rest = [f"{name}={value}" for name, value in event.details if name not in _HIDDEN | used]
    by = event.detail("by")
    return "; ".join(filter(None, (words(event), " ".join(rest), f"by {by}" if by else "")))


def why(slug: str) -> str:
    """Why something ended; the slug itself if this version does not know it."""
    return reasons.for_sysadmin(slug) or slug


def why_refused(slug: str) -> str:
    """Why something was refused or failed; the slug itself if this version does not know it."""
    return reasons.of_refusal(slug) or slug


_ENDS = frozenset(("session-closed", "locked", "left", "lock-incomplete", "program-ended"))
"""Events that tell of an end. The reason of another is that of a refusal or a failure."""


def command(event: Event) -> str:
    """The command that a request asked for, as far as it is recorded: of a line that is no command, nothing is."""
    program = event.detail("program")
    network = " --net" if event.detail("network") else ""
    return (
        " ".join(filter(None, (event.verb or "(no command)", event.project))) + network + (program and f": {program}")
    )


def _because(event: Event) -> str:
    words = why if event.event in _ENDS else why_refused
    return f": {words(event.reason)}" if event.reason else ""


def _request(event: Event) -> str:
    if event.decision == "deny":
        return f"refused: {f'{command(event)}: ' if event.verb else ''}{why_refused(event.reason)}"
    return f"allowed: {command(event)}"


def _egress(event: Event) -> str:
    target = f"{event.detail('more')} more" if event.detail("more") else event.detail("target")
    did = "reached" if event.decision == "allow" else "was refused"
    return f"a program in {event.project} {did} {target}{_because(event)}"


def _result(event: Event) -> str:
    asked = event.verb or "the command"
    return f"{asked} ended with {event.status}" if event.status else f"{asked} done"


def _throttled(event: Event) -> str:
    return f"too many requests: {event.detail('refused')} were refused, {event.detail('passed') or 0} let pass"


def _checked(event: Event) -> str:
    if event.detail("sound") == "True":
        return f"checked {event.project}: sound"
    return f"checked {event.project}: damaged or not readable"


def _backup(event: Event) -> str:
    vaults, incomplete = event.detail("vaults"), event.detail("incomplete")
    all_of_it = "all complete" if incomplete == "0" else f"{incomplete} incomplete"
    return f"backup: {vaults} {'project' if vaults == '1' else 'projects'}, {all_of_it}"


def _project(what: str) -> Words:
    return lambda event: f"{what} {event.project}{_because(event)}"


def _session(what: str) -> Words:
    return lambda event: f"session {event.session} {what}{_because(event)}"


_KINDS = {"passphrase": "a passphrase", "ssh-key": "an SSH key", "recovery": "a recovery code"}
"""The words for each kind of slot."""
_SLOT = frozenset(("slot", "kind", "with_slot"))


def _unlock(what: str) -> Words:
    """A passphrase is not named: it is what everybody expects."""

    def words(event: Event) -> str:
        kind = event.detail("kind")
        by = f" with {_KINDS.get(kind, kind)}" if kind not in ("", "passphrase") else ""
        return f"{what} {event.project}{by}{_because(event)}"

    return words


def _created(event: Event) -> str:
    kinds = [words for kind, words in _KINDS.items() if f"'{kind}'" in event.detail("kinds")]
    by = f", unlocked by {' or '.join(kinds)}" if kinds and kinds != [_KINDS["passphrase"]] else ""
    return f"created {event.project}{by}{_because(event)}"


def _shared(event: Event) -> str:
    until = f", who can accept until {event.detail('expires')}" if event.detail("expires") else ""
    return f"invited {event.detail('member')} to {event.project} as {event.detail('role')}{until}"


def _accepted(event: Event) -> str:
    kind = event.detail("kind")
    return f"became a {event.detail('role')} of {event.project}, with {_KINDS.get(kind, kind)}"


def _unshared(event: Event) -> str:
    return f"ended the access of {event.detail('member')} ({event.detail('role')}) to {event.project}"


_MEMBER = frozenset(("member", "role", "owner", "kinds", "expires", "slot", "kind", "with_slot"))
_OWNER = frozenset(("owner",))


def _of_owner(what: str) -> Words:
    """In a session of a shared project, records say whose it is."""

    def words(event: Event) -> str:
        owner = event.detail("owner")
        of = f" of {owner}" if owner and owner != event.principal else ""
        return f"{what} {event.project}{of}".rstrip() + _because(event)

    return words


def _slot(what: str, where: str) -> Words:
    def words(event: Event) -> str:
        kind, by = event.detail("kind"), event.detail("with_slot")
        slot = f"{_KINDS.get(kind, kind)} (slot {event.detail('slot')})"
        return f"{what} {slot} {where} {event.project}{f', with {by}' if by else ''}{_because(event)}"

    return words


def _rekey_begun(event: Event) -> str:
    begun = "continued" if event.detail("continued") == "True" else "began"
    kind = event.detail("kind")
    return f"{begun} to rekey {event.project} with {_KINDS.get(kind, kind)}{_because(event)}"


def _rekeyed(event: Event) -> str:
    kinds = [words for kind, words in _KINDS.items() if f"'{kind}'" in event.detail("kinds")]
    by = f", unlocked by {' or '.join(kinds)}" if kinds else ""
    invited = event.detail("invited")
    more = f", {invited} invited again" if invited not in ("", "0") else ""
    return f"rekeyed {event.project}{by}{more}{_because(event)}"


def _deleted(event: Event) -> str:
    return f"deleted {event.project} for good{_because(event)}"


def _renamed(event: Event) -> str:
    return f"renamed {event.project} to {event.detail('to')}{_because(event)}"


def _plain(what: str) -> Words:
    return lambda event: what + _because(event)


def _host(what: str) -> Words:
    return lambda event: f"host {event.detail('name')} {what}"


_HOST = frozenset(("name",))


def _other(event: Event) -> str:
    return f"{event.event} {event.project}".rstrip() + _because(event)


_WORDS: dict[str, tuple[Words, frozenset[str]]] = {
    "request": (_request, frozenset()),
    "result": (_result, frozenset()),
    "egress": (_egress, frozenset(("target", "more"))),
    "throttled": (_throttled, frozenset(("refused", "passed"))),
    "session-opened": (_session("opened"), frozenset()),
    "session-closed": (_session("closed"), frozenset()),
    "unlocked": (_unlock("unlocked"), _SLOT),
    "unlock-failed": (_unlock("could not unlock"), _SLOT),
    "locked": (_project("locked"), frozenset()),
    "lock-incomplete": (_project("could not wholly lock"), frozenset()),
    "created": (_created, frozenset(("kinds",))),
    "slot-added": (_slot("added", "to"), _SLOT),
    "slot-changed": (_slot("changed", "of"), _SLOT),
    "slot-removed": (_slot("removed", "from"), _SLOT),
    "rekey-begun": (_rekey_begun, frozenset(("kind", "with_slot", "continued"))),
    "rekey-stopped": (_project("could not finish rekeying"), frozenset()),
    "rekeyed": (_rekeyed, frozenset(("kinds", "dropped", "invited", "with_slot"))),
    "shared": (_shared, _MEMBER),
    "accepted": (_accepted, _MEMBER),
    "unshared": (_unshared, _MEMBER),
    "gave-up": (lambda event: f"gave up {event.project} ({event.detail('role')})", _MEMBER),
    "joined": (_of_owner("joined"), _OWNER | {"via"}),
    "left": (_of_owner("left"), _OWNER),
    "renamed": (_renamed, frozenset(("to",))),
    "deleted": (_deleted, frozenset(("removed",))),
    "removed": (_project("removed"), frozenset()),
    "checked": (_checked, frozenset(("sound", "unread"))),
    "invited": (_plain("invitation made"), frozenset()),
    "enrolled": (_plain("key handed in"), frozenset()),
    "approved": (_plain("key approved"), frozenset()),
    "denied": (_plain("key denied"), frozenset()),
    "key-added": (_plain("key added"), frozenset()),
    "key-revoked": (_plain("key revoked"), frozenset()),
    "backup": (_backup, frozenset(("vaults", "incomplete"))),
    "restored": (_project("restored"), frozenset()),
    "paused": (_plain("gateway paused"), frozenset()),
    "resumed": (_plain("gateway resumed"), frozenset()),
    "host-drained": (_host("drained: nothing new begins there"), _HOST),
    "host-undrained": (_host("takes what is new again"), _HOST),
    "host-evicted": (_host("evicted from the file system"), _HOST | {"client", "blocked"}),
    "keys-unreadable": (_plain("authorized_keys could not be read"), frozenset()),
    "misconfigured": (lambda event: f"wrong configuration: {event.detail('where')}", frozenset(("where",))),
    "rotated": (_plain("log rotated"), frozenset()),
    "peer-head": (
        lambda event: f"noted that record {event.detail('peer_seq')} is the newest of {event.detail('peer')}",
        frozenset(("peer", "peer_seq", "peer_hash")),
    ),
    "fault": (_plain("error of the gateway"), frozenset()),
    "program-ended": (
        lambda event: f"{event.detail('program')}{event.project and f' in {event.project}'} ended{_because(event)}",
        frozenset(),
    ),
}
"""The words for each event, and the details that they use."""
