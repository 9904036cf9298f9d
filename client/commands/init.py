"""`enc init`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import click

from client import options, output
from client.connection import host_key, invitation, request, ssh_keygen
from client.connection.ssh_errors import HostKeyUnknown
from client.errors import FromGateway, HostKeyRefused, NotAccepted, Usage
from client.state import config
from client.state.config import Profile

_FROM_SSH_CONFIG = "as ssh_config says"


@click.command("init")
@click.option("--name", help="Name for this gateway (default: the host).")
@click.option("--host", help="A host, or an alias in ssh_config(5).")
@click.option("--user", help="The gateway's account (default: as ssh_config says).")
@click.option("--port", type=click.IntRange(1, 65535), help="The gateway's port (default: as ssh_config says).")
@options.IDENTITY
@options.SSH_CONFIG
@click.option("--fingerprint", metavar="SHA256:...", help="The expected host key; then enc does not ask you.")
@click.option("--invite", metavar="CODE", help="Hand in your key with this code; - reads the code from standard input.")
@options.JSON
def command(
    name: str | None,
    host: str | None,
    user: str | None,
    port: int | None,
    identity: str | None,
    ssh_config: str | None,
    fingerprint: str | None,
    invite: str | None,
    as_json: bool,
) -> None:
    """Connect to a gateway: check its host key, log in, and write the config. Asks for what you leave out."""
    given = options.given(host, ssh_config, identity)
    config.load()  # a config that is broken is reported before any question
    interactive = output.is_interactive()
    code = invitation.parse(_read_code() if invite == "-" else invite) if invite is not None else None
    host = given.host or (_ask("Gateway (host, or alias in ssh_config)") if interactive else "")
    if not host:
        raise Usage("no host was given", "enc init --host HOST")
    if interactive and not given.host:
        user = user or _ask("Account on the gateway", _FROM_SSH_CONFIG if given.ssh_config else "enc")
        user = "" if user == _FROM_SSH_CONFIG else user
    key = given.identity or ("" if code else _ask_key(interactive))
    profile = config.checked(Profile(name or host, host, user or "", port or 0, key, given.ssh_config))
    if code:
        _enrol(profile, code, fingerprint, as_json)
        return
    try:
        known = _first_contact(profile, fingerprint)
    except NotAccepted as error:
        code = _ask_code(error) if interactive else None
        if code is None:
            raise
        _enrol(profile, code, fingerprint, as_json)
        return
    profile = _pinned(profile, str(known.get("realm", "")))
    where = config.save(profile)
    fields = {"gateway": profile.name, "config": where, "principal": known["principal"]}
    output.result(fields, f"connected to {profile.name} as {known['principal']}; saved in {where}", as_json)


def _ask(question: str, default: str = "") -> str:
    answer: str = click.prompt(question, default=default or None, err=True)
    return answer.strip()


def _ask_key(interactive: bool) -> str:
    """The key file that the user names; "" leaves the choice to ssh and its agent."""
    if not interactive:
        return ""
    usual = os.path.expanduser("~/.ssh/id_ed25519")
    answer = _ask("Key file ('agent' to use the keys in ssh-agent)", usual if os.path.exists(usual) else "agent")
    return "" if answer == "agent" else answer


def _read_code() -> str:
    """The invitation code from standard input; without echo at a terminal."""
    if sys.stdin.isatty():
        answer: str = click.prompt("Invitation code", hide_input=True, err=True)
        return answer
    return sys.stdin.readline(4096)


def _ask_code(error: NotAccepted) -> invitation.Invitation | None:
    """Ask a user whose key is not accepted for an invitation code; None when they have none."""
    output.note(f"{error}.")
    answer: str = click.prompt(
        "Invitation code (Enter if you have none)", default="", show_default=False, hide_input=True, err=True
    )
    return invitation.parse(answer) if answer.strip() else None


def _enrol(profile: Profile, code: invitation.Invitation, fingerprint: str | None, as_json: bool) -> None:
    """Hand in a key with the invitation. Writes the config last, so after an error nothing is set up."""
    profile = config.checked(profile._replace(identity=profile.identity or "~/.ssh/id_ed25519"))
    with _trusting(profile, code, fingerprint):
        made = ssh_keygen.create(profile.identity)
        try:
            answer = invitation.enrol(profile, code, f"{profile.identity}.pub")
        except (NotAccepted, FromGateway, HostKeyRefused) as error:
            if made and error.slug != "unknown":  # a clear refusal: the gateway does not have the new key
                os.unlink(profile.identity)
                os.unlink(f"{profile.identity}.pub")
            raise
    if made:
        output.note(f"created the key {profile.identity}")
    where = config.save(profile)
    text = (
        f"handed in the key {answer['fingerprint']} for {answer['principal']}; saved in {where}\n"
        "Read this fingerprint to your sysadmin. Once they have approved it, `enc ls` works."
    )
    fields = {"gateway": profile.name, "config": where, "identity": profile.identity, "approved": False}
    output.result({**fields, "principal": answer["principal"], "fingerprint": answer["fingerprint"]}, text, as_json)


@contextlib.contextmanager
def _trusting(profile: Profile, code: invitation.Invitation, fingerprint: str | None) -> Iterator[None]:
    """Check the host key against the code, or if the code has none, let the user accept it; record it for the block."""
    known = host_key.is_known(profile)
    key = host_key.fetch(profile, "ssh-ed25519" if code.host else "")
    if not invitation.vouches_for(code, key) and not known:
        _accept(profile, key, fingerprint)
    with contextlib.nullcontext() if known else _recorded(profile, key):
        yield


@contextlib.contextmanager
def _recorded(profile: Profile, key: host_key.HostKey) -> Iterator[None]:
    """Record the host key. If the host shows another key in the block, remove the record again."""
    where = host_key.record(profile, key)
    try:
        yield
    except HostKeyRefused:
        host_key.forget(where, key)
        raise
    output.note(f"added the host key to {where}")


def _first_contact(profile: Profile, fingerprint: str | None) -> dict[str, object]:
    """The gateway's answer to whoami. An unknown host key is recorded first, if the user accepts it."""
    try:
        return _whoami(profile)
    except HostKeyUnknown:
        key = host_key.fetch(profile)
    _accept(profile, key, fingerprint)
    with _recorded(profile, key):
        return _whoami(profile)


def _accept(profile: Profile, key: host_key.HostKey, fingerprint: str | None) -> None:
    """Raises HostKeyRefused unless the key has the given fingerprint, or else the user accepts it."""
    if fingerprint:
        host_key.check_fingerprint(key, fingerprint)
        return
    output.note(f"The host key of {profile.host} is not known on this machine. It is {key.kind}\n  {key.fingerprint}")
    if not output.is_interactive():
        raise HostKeyUnknown(profile.host, "enc init --fingerprint SHA256:...")
    if not click.confirm("Is this the fingerprint that your sysadmin gave you?", default=False, err=True):
        raise HostKeyRefused("you did not accept the host key", "nothing was written")


def _pinned(profile: Profile, realm: str) -> Profile:
    """With the realm for which keys sign. One that changed is said: this is the place to accept it."""
    before = config.load().gateways.get(profile.name, profile).realm
    if before and realm and before != realm:
        output.note(
            f"The realm of {profile.name} was {before} and is {realm} now: it is another gateway, or was made anew."
        )
    return profile._replace(realm=realm or before)


def _whoami(profile: Profile) -> dict[str, object]:
    try:
        return request.send_directly(profile, "whoami")
    except NotAccepted as error:
        public = f"{profile.identity}.pub"
        if not profile.identity or not os.path.exists(public):
            raise
        info = ssh_keygen.describe(public)
        fingerprint = f" ({info.fingerprint})" if info else ""
        raise NotAccepted(str(error), f"give your sysadmin {public}{fingerprint}") from error
