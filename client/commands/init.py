"""`enc init`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import click

from client import options
from client.connection import host_key, invitation, ssh
from client.errors import FromGateway, HostKeyRefused, NotAccepted, Usage
from client.state import config
from client.state.config import Profile


@click.command("init")
@click.option("--name", help="What to call the gateway; the host's name without it.")
@click.option("--host", help="A host, or an alias of ssh_config(5).")
@click.option("--user", help="The gateway's account; without it, as ssh_config says.")
@click.option("--port", type=click.IntRange(1, 65535), help="Without it, as ssh_config says.")
@options.IDENTITY
@options.SSH_CONFIG
@click.option("--fingerprint", metavar="SHA256:...", help="The host key to expect, instead of being asked.")
@click.option("--invite", metavar="CODE", help="Hand in a key by invitation; - reads the code from standard input.")
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
    """Set up a gateway: ask for what is not said, check its host key and that it lets you in, and write the config."""
    said = options.choice(host, ssh_config, identity)
    config.load()  # one that is broken is told before anything is asked
    alone = options.is_asking()
    code = invitation.parse(_code() if invite == "-" else invite) if invite is not None else None
    host = said.host or (_ask("Gateway (a host, or an alias of ssh_config)") if alone else "")
    if not host:
        raise Usage("no host is given", "enc init --host HOST")
    if alone and not said.host:
        user = user or _ask("Account on it", "as ssh_config says" if said.ssh_config else "enc")
        user = "" if user == "as ssh_config says" else user
    profile = config.checked(
        Profile(
            name or host, host, user or "", port or 0, said.identity or ("" if code else _key(alone)), said.ssh_config
        )
    )
    if code:
        _enrol(profile, code, fingerprint, alone, as_json)
        return
    try:
        known = _checked(profile, fingerprint, alone)
    except NotAccepted as error:
        code = _offered(error) if alone else None
        if code is None:
            raise
        _enrol(profile, code, fingerprint, alone, as_json)
        return
    where = config.save(profile)
    fields = {"gateway": profile.name, "config": where, "principal": known["principal"]}
    options.say(fields, f"{profile.name} takes you for {known['principal']}; written to {where}", as_json)


def _ask(question: str, default: str = "") -> str:
    answer: str = click.prompt(question, default=default or None, err=True)
    return answer.strip()


def _key(alone: bool) -> str:
    """The key to use, where the user wants to name one: "" leaves it to ssh and the agent."""
    usual = os.path.expanduser("~/.ssh/id_ed25519")
    if not alone:
        return ""
    answer = _ask("Key file ('agent' for what your agent has)", usual if os.path.exists(usual) else "agent")
    return "" if answer == "agent" else answer


def _code() -> str:
    """The code of an invitation, without echo at a terminal."""
    if sys.stdin.isatty():
        answer: str = click.prompt("Invitation code", hide_input=True, err=True)
        return answer
    return sys.stdin.readline(4096)


def _offered(error: NotAccepted) -> invitation.Invitation | None:
    """The invitation of somebody whose key is not accepted; None when they have none."""
    options.note(f"{error}.")
    answer: str = click.prompt(
        "Invitation code (Enter if you have none)", default="", show_default=False, hide_input=True, err=True
    )
    return invitation.parse(answer) if answer.strip() else None


def _enrol(profile: Profile, code: invitation.Invitation, fingerprint: str | None, alone: bool, as_json: bool) -> None:
    """Hand in a key by the invitation, and write the config. The config comes last: without it nothing was set up."""
    profile = config.checked(profile._replace(identity=profile.identity or "~/.ssh/id_ed25519"))
    with _trusting(profile, code, fingerprint, alone):
        made = invitation.make_key(profile.identity)
        try:
            answer = invitation.hand_in(profile, code, f"{profile.identity}.pub")
        except (NotAccepted, FromGateway, HostKeyRefused) as error:
            if made and error.slug != "unknown":  # refused for certain, so nobody has this key
                os.unlink(profile.identity)
                os.unlink(f"{profile.identity}.pub")
            raise
    if made:
        options.note(f"made the key {profile.identity}")
    where = config.save(profile)
    words = (
        f"handed in {answer['fingerprint']} for {answer['principal']}; written to {where}\n"
        "Read this fingerprint out to your sysadmin. Once they have approved it, `enc ls` works."
    )
    fields = {"gateway": profile.name, "config": where, "identity": profile.identity, "approved": False}
    options.say({**fields, "principal": answer["principal"], "fingerprint": answer["fingerprint"]}, words, as_json)


@contextlib.contextmanager
def _trusting(profile: Profile, code: invitation.Invitation, fingerprint: str | None, alone: bool) -> Iterator[None]:
    """Have the host key recorded, once it is the code's, or where the code has none, the one that is accepted."""
    known = host_key.is_known(profile)
    key = host_key.of(profile, "ssh-ed25519" if code.host else "")
    if not invitation.host_key(code, key) and not known:
        _accept(profile, key, fingerprint, alone)
    with contextlib.nullcontext() if known else _recorded(profile, key):
        yield


@contextlib.contextmanager
def _recorded(profile: Profile, key: host_key.HostKey) -> Iterator[None]:
    """Have the host key recorded; not for longer than the block if the host then shows another one."""
    where = host_key.record(profile, key)
    try:
        yield
    except HostKeyRefused:
        host_key.forget(where, key)
        raise
    options.note(f"recorded in {where}")


def _checked(profile: Profile, fingerprint: str | None, alone: bool) -> dict[str, object]:
    """Who the gateway takes us for; with its host key recorded, if it was unknown and is accepted."""
    try:
        return _whoami(profile)
    except HostKeyRefused as refused:
        if "is not known here" not in str(refused):
            raise
    key = host_key.of(profile)
    _accept(profile, key, fingerprint, alone)
    with _recorded(profile, key):
        return _whoami(profile)


def _accept(profile: Profile, key: host_key.HostKey, fingerprint: str | None, alone: bool) -> None:
    """Raises HostKeyRefused unless it is the key of `fingerprint`, or the user says that it is right."""
    if fingerprint:
        host_key.must_be(key, fingerprint)
    else:
        options.note(f"The host key of {profile.host} is not known here. It is {key.kind}\n  {key.fingerprint}")
        if not alone:
            raise HostKeyRefused(
                f"the host key of {profile.host} is not known here", "enc init --fingerprint SHA256:..."
            )
        if not click.confirm("Is that what your sysadmin told you?", default=False, err=True):
            raise HostKeyRefused("the host key was not accepted", "nothing was written")


def _whoami(profile: Profile) -> dict[str, object]:
    try:
        return ssh.ask_directly(profile, "whoami")
    except NotAccepted as error:
        public = f"{profile.identity}.pub"
        if profile.identity and os.path.exists(public):
            raise NotAccepted(str(error), f"give your sysadmin {public} ({host_key.fingerprint(public)})") from error
        raise
