"""Print what an SSH key signs to unlock a project, or to become a way to unlock it."""

from __future__ import annotations

from gateway.errors import Usage
from gateway.identity.authorized_keys import fingerprint
from gateway.identity.names import SharedName
from gateway.session import registry
from gateway.vault import lifecycle, store
from gateway.vault import realm as realms
from gateway.vault.slots import challenge
from gateway.vault.slots.stored import Kind, Slot
from rshell.commands import mount
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import rekeying, unlocking
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """Print the challenge of one slot: the one named, that of the key of this login, or the only one. With --json, all,
    the kinds of all slots, and whether the project is unlocked: what a client needs before it unlocks it. With --new,
    print one for a slot that does not exist yet; the project may not exist either. With --rekey, print the one for
    `rekey`: that of the draft that an interrupted one has left, or a new one.
    """
    project = required(command.project)
    if "--new" in command.flags:
        realm = realms.of(context.config.paths_vaults)
        exists = isinstance(project, SharedName) or project in store.names(context.vaults_home)
        vault_id = store.identity(context.vault(project)) if exists else lifecycle.new_id()
        asked = challenge.new(realm, vault_id)
        fields = {**_realm_fields(project, realm), "text": asked.text}
        output.result(fields, asked.text.rstrip("\n"), command.wants_json)
        return 0
    if "--rekey" in command.flags:
        asked = rekeying.challenge_of_draft(context, context.vault(project))
        fields = {**_realm_fields(project, asked.realm), "text": asked.text}
        output.result(fields, asked.text.rstrip("\n"), command.wants_json)
        return 0
    vault = mount.reach(context, project)
    slots = unlocking.mine(context, vault)
    keys = unlocking.of_kind(slots, Kind.SSH_KEY)
    vault_id = store.identity(vault)
    # whoever has a passphrase alone needs no realm: one that cannot be read is not in their way
    realm = (realms.of if keys else realms.peek)(context.config.paths_vaults)
    if command.wants_json:
        unlocked = context.session_with(project)  # whoever has it
        listed = [_fields(slot, challenge.of(slot, vault_id).text) for slot in keys if slot.realm == realm]
        kinds = sorted({slot.kind.value for slot in slots})
        role = slots[0].role.value if slots else registry.READER
        about = {"state": "unlocked" if unlocked else "locked", "kinds": kinds, "role": role}
        output.result({**_realm_fields(project, realm), **about, "challenges": listed}, "", True)
        return 0
    slot = _choose(context, vault.name, keys, command.value)
    if slot.realm != realm:
        raise Usage(f"{slot.name} was made in another realm, that is on another gateway", "unlock it in another way")
    output.note(f"sign it with: ssh-keygen -Y sign -q -n {realms.namespace(realm)} -f KEY_FILE")
    output.write(1, challenge.of(slot, vault_id).text)
    return 0


def _realm_fields(project: str, realm: str) -> dict[str, object]:
    return {"project": project, "realm": realm, "namespace": realms.namespace(realm)}


def _fields(slot: Slot, text: str) -> dict[str, object]:
    about = {"slot": slot.name, "public_key": slot.public_key, "fingerprint": fingerprint(slot.public_key)}
    return {**about, "text": text}


def _choose(context: Context, project: str, keys: tuple[Slot, ...], name: str) -> Slot:
    if not keys:
        raise Usage(f"no SSH key unlocks {project}", f"`slot add {project} key` adds one")
    named = [slot for slot in keys if slot.name == name] if name else []
    of_login = [slot for slot in keys if slot.public_key == context.caller.blob]
    found = named if name else of_login or (list(keys) if len(keys) == 1 else [])
    if not found:
        hint = f"challenge {project} SLOT: {', '.join(slot.name for slot in keys)}"
        raise Usage("no such slot of an SSH key" if name else "several SSH keys unlock it", hint)
    return found[0]
