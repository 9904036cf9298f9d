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

_USUAL = "~/.ssh/id_ed25519"
_AGENT = "agent"
_ATTEMPTS = 3
_FROM_SSH_CONFIG = "as ssh_config says"


@click.command("init")
@click.option("--name", help="Name for this gateway (default: the host).")
@click.option("--host", metavar="HOST", help="A host, or an alias in ssh_config(5).")
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
    if key and not code:
        _check_key(key)
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
    profile = _pinned(profile, str(known.get("realm", "")))._replace(principal=_who(known))
    where = config.save(profile)
    fields = {"gateway": profile.name, "config": where, "principal": known["principal"]}
    output.result(fields, f"connected to {profile.name} as {profile.principal}; saved in {where}", as_json)


def _who(known: dict[str, object]) -> str:
    """Who the gateway says we are: a principal's name, or for a key without one its label."""
    principal = str(known["principal"])
    return str(known.get("label") or principal) if principal.startswith("SHA256:") else principal


def _ask(question: str, default: str | None = None, show: bool = True) -> str:
    answer: str = click.prompt(question, default=default, show_default=show, err=True)
    return answer.strip()


def _ask_key(interactive: bool) -> str:
    """The key file that the user names; "" leaves the choice to ssh and its agent."""
    if not interactive:
        return ""
    usual = os.path.expanduser(_USUAL)
    agent = bool(os.environ.get("SSH_AUTH_SOCK"))
    if not os.path.exists(usual) and not agent:
        return _ask_to_make(usual)
    default = usual if os.path.exists(usual) else _AGENT
    for _ in range(_ATTEMPTS):
        answer = _ask(f"Key file, or '{_AGENT}' for the keys in ssh-agent", default)
        if answer == _AGENT and not agent:
            output.note("There is no ssh-agent: SSH_AUTH_SOCK is not set.")
            continue
        try:
            return "" if answer == _AGENT else _check_key(answer)
        except Usage as error:
            output.note(f"{error}; {error.hint}.")
    raise Usage("no key was named", "enc init -i FILE")


def _ask_to_make(usual: str) -> str:
    """The key made at `usual`, or the file that the user names instead."""
    output.note("You have no Ed25519 key and no ssh-agent.")
    for _ in range(_ATTEMPTS):
        answer = _ask(f"Make a key at {_USUAL}? Y, n, or your key file", "Y")
        if answer.lower() in ("y", "yes"):
            _make(usual)
            return usual
        if answer.lower() in ("n", "no"):
            raise Usage("there is no key to log in with", "name yours with -i FILE")
        try:
            return _check_key(answer)
        except Usage as error:
            output.note(f"{error}; {error.hint}.")
    raise Usage("no key was named", "enc init -i FILE")


def _confirm(question: str) -> bool:
    """Whether the user answers yes; Enter is no."""
    for _ in range(_ATTEMPTS):
        answer = _ask(f"{question} [y/N]", "", show=False).lower()
        if answer in ("y", "yes"):
            return True
        if answer in ("", "n", "no"):
            return False
        output.note("Type y or n.")
    return False


def _check_key(answer: str) -> str:
    """`answer`, if it is a key file. Raises Usage, which does not repeat an invitation's code."""
    if answer.startswith(invitation.PREFIX):
        raise Usage("that is an invitation code and no key file", "`enc init --invite -` asks for the code")
    path = os.path.expanduser(answer)
    if not os.path.isfile(path):
        raise Usage(f"there is no key file {answer}", "`ssh-keygen -t ed25519` makes one")
    info = ssh_keygen.describe(path)
    if info is None:
        raise Usage(f"{answer} is no SSH key", "name the private key, such as ~/.ssh/id_ed25519")
    if "ED25519" not in info.kind:
        raise Usage(
            f"{answer} is a key of type {info.kind}", "gateways take Ed25519: `ssh-keygen -t ed25519` makes one"
        )
    return answer


def _make(path: str) -> bool:
    """Make the key if there is none; whether one was made. ssh-keygen asks for its passphrase."""
    if not os.path.lexists(path) and not os.path.lexists(f"{path}.pub") and sys.stdin.isatty():
        output.note(f"Making your SSH key {output.short(path)}. Choose a passphrase that protects the key itself;")
        output.note("it has nothing to do with the passphrases of projects, and may be empty.")
    return ssh_keygen.create(path)


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
    profile = config.checked(profile._replace(identity=profile.identity or _USUAL))
    with _trusting(profile, code, fingerprint):
        made = _make(profile.identity)
        try:
            answer = invitation.enrol(profile, code, f"{profile.identity}.pub")
        except (NotAccepted, FromGateway, HostKeyRefused) as error:
            if made and error.slug != "unknown":  # a clear refusal: the gateway does not have the new key
                os.unlink(profile.identity)
                os.unlink(f"{profile.identity}.pub")
            raise
    if made:
        output.note(f"created the key {profile.identity}")
    profile = _pinned(profile, str(answer.get("realm", "")))
    profile = profile._replace(principal=str(answer["principal"]), waiting=str(answer["fingerprint"]))
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
    if not _confirm("Is this the fingerprint that your sysadmin gave you?"):
        raise HostKeyRefused("you did not accept the host key", "nothing was written")


def _pinned(profile: Profile, realm: str) -> Profile:
    """With the realm for which keys sign, and what the user wrote before. A realm that changed is said: this is the
    place to accept it.
    """
    saved = config.load().gateways.get(profile.name, profile)
    before = saved.realm
    if before and realm and before != realm:
        output.note(
            f"The realm of {profile.name} was {before} and is {realm} now: it is another gateway, or was made anew."
        )
    return profile._replace(realm=realm or before, typing_counts=saved.typing_counts)


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
