"""End somebody's access to a project."""

from __future__ import annotations

from gateway.errors import Usage
from gateway.identity.names import Principal
from gateway.vault import lease, store
from gateway.vault.members import membership
from gateway.vault.members.membership import Member
from rshell.context import Context, own
from rshell.language.command import Command
from rshell.session import leaving
from rshell.terminal import output

_WORDS = """\
{who} has no access to {project} any more{since}. What they copied or noted meanwhile, the project's key included, \
they may still have: `rekey {project}` makes a new key."""


def run(context: Context, command: Command) -> int:
    """Remove the member's ways to unlock, and end what they hold."""
    member, project = check(context, command), own(command.project)
    leaving.remove(context, context.vault(project), member.principal, "unshared")
    since = f"; they were invited {member.since}" if member.invited_until else f"; they had it since {member.since}"
    fields = {"project": project, "member": member.principal, "since": member.since}
    words = _WORDS.format(who=member.principal, project=project, since=since)
    output.result(fields, words, command.wants_json)
    return 0


def check(context: Context, command: Command) -> Member:
    """Whom it is about. Raises Usage for who is no member."""
    vault, who = context.vault(command.project), Principal.of_word(command.value)
    if who == context.caller.principal:
        raise Usage(f"{vault.name} is yours", f"`rm {vault.name}` removes it")
    members = membership.of(store.check(vault), context.caller.principal)
    found = next((one for one in members if one.principal == who), None)
    if found is None:
        raise Usage(f"{who} is no member of {vault.name}", f"`share {vault.name}` lists them")
    lease.require_writable(vault)
    return found
