"""Check that somebody can unlock each project, that the store of the vaults has its realm, and that members find what
is shared with them.
"""

from __future__ import annotations

from gateway.doctor.finding import Finding, Target, fail, ok, warn
from gateway.errors import Misconfigured
from gateway.identity import authorized_keys
from gateway.vault import gocryptfs, realm
from gateway.vault.members import repair
from gateway.vault.slots import survey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = 10
_FIX = "authorize a key of their owner again, or keep them for who has the passphrase; docs/recovery.md opens them"


def check(target: Target) -> Iterator[Finding]:
    """One finding names the projects that nobody who can log in opens."""
    vaults = target.config.paths_vaults
    try:
        keys: dict[str, set[str]] = {}
        for entry in authorized_keys.load(target.config.paths_authorized_keys):
            if not entry.problem and not entry.invitation_for:
                keys.setdefault(entry.principal or authorized_keys.fingerprint(entry.blob), set()).add(entry.blob)
        found = list(survey.vaults(vaults))
        lost = survey.stranded(vaults, keys)
    except (Misconfigured, OSError, ValueError):
        return  # `keys` and `owners` say so
    if any(slot.realm for each in found for slot in each.slots):
        here = realm.peek(vaults)
        strange = [each.name for each in found if any(slot.realm not in ("", here) for slot in each.slots)]
        if strange:
            about = f"the realm is not that of the SSH keys of {_listed(strange)}"
            yield fail("unlocking", about, f"put back {vaults}/{realm.FILE} from the backup that they came from")
    if lost:
        yield warn("unlocking", f"nobody who can log in unlocks {_listed(lost)}", _FIX)
    else:
        yield ok("unlocking", f"each of {len(found)} projects can be unlocked by somebody")


def check_cost(target: Target) -> Iterator[Finding]:
    """A finding only when new passphrases are cheap."""
    cost, usual = target.config.passphrase_cost, gocryptfs.PASSPHRASE_LOG_N
    if cost < usual:
        said = f"new ones are {1 << (usual - cost)} times as cheap to guess as gocryptfs makes them"
        yield warn("passphrases", said, f"set passphrase.cost to {usual} at least; `passwd` makes an old one anew")


def check_members(target: Target) -> Iterator[Finding]:
    """One finding names the links of members that lead nowhere, or are missing."""
    try:
        found = repair.differences(target.config.paths_vaults)
    except OSError:
        return  # `vaults` says so
    stray = [f"{one.member}'s to {one.name}" for one in found if one.is_stray]
    missing = [f"{one.member}'s to {one.name}" for one in found if one.wanted]
    for said, names in (("lead to nothing", stray), ("are missing or wrong", missing)):
        if names:
            yield warn("members", f"links to shared projects {said}: {_listed(names)}", "enc-gateway sweep")
    if not (stray or missing):
        yield ok("members", "each member finds what is shared with them")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
