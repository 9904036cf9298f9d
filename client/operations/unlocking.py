"""How a project is opened: by a key of the user where the project has a slot for it, else by the passphrase."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from client.connection import request, signing
from client.errors import FromGateway, Misconfigured, Usage
from client.state import store as stores
from client.state.config import Profile
from client.state.store import Store
from client.system import passphrase_prompt, terminal_text

_WRONG = "wrong-secret"
"""How the gateway names the error of a wrong passphrase."""


class Opened(NamedTuple):
    """The gateway's answer, the words for what opened the project, and what the user should know ("": nothing)."""

    answer: dict[str, Any]
    by: str
    note: str = ""


class Ways(NamedTuple):
    """What the gateway calls the project, whether somebody has it unlocked, the kinds of the user's slots, what each
    key of a slot signs, and what the user may do: owner, writer or reader.
    """

    project: str
    is_unlocked: bool
    kinds: list[str]
    challenges: list[dict[str, Any]]
    role: str = "owner"


class NewKey(NamedTuple):
    """What hands a key in: the challenge, and two signatures of it; and one of them alone, which unlocks."""

    lines: bytes
    signature: bytes


def send(profile: Profile, *words: str, secret: bytes | None = None) -> dict[str, Any]:
    """The gateway's answer, over the connection that is open, else over a new one."""
    if store := stores.connected(profile):
        return request.send(store, *words, secret=secret)
    return request.send_directly(profile, *words, secret=secret)


def send_when_asked(profile: Profile, *words: str, ask: Callable[[str], bytes]) -> dict[str, Any]:
    """The same for a command that checks everything else before it reads its secret, which `ask` returns."""
    if store := stores.connected(profile):
        return request.send_when_asked(store, *words, ask=ask)
    return request.send_directly_when_asked(profile, *words, ask=ask)


def minimum(said: str) -> int:
    """How long a passphrase has to be, if the gateway has said it in the words that we know; it checks it itself."""
    found = re.search(r"needs at least (\d{1,3}) characters", said)
    return int(found[1]) if found else 1


def ways(project: str, send_it: Callable[..., dict[str, Any]]) -> Ways | None:
    """How the project can be unlocked; None from a gateway that does not say, for it only knows passphrases."""
    try:
        asked = send_it("challenge", project)
    except FromGateway as error:
        if error.slug == "unknown-command":
            return None
        raise
    role = str(asked.get("role", "owner"))  # an older gateway knows no other
    return Ways(str(asked["project"]), asked["state"] == "unlocked", asked["kinds"], asked["challenges"], role)


def ask(
    profile: Profile,
    project: str,
    *words: str,
    after: Callable[[], bytes] = bytes,
    use_keys: bool = True,
    without: str = "",
    store: Store | None = None,
    known: Ways | None = None,
    checks_first: bool = False,
    after_key: Callable[[signing.Key], bytes] | None = None,
    told: Callable[[dict[str, Any]], object] | None = None,
) -> Opened:
    """The command `words`, which opens `project`: by a key if there is one for it, else the user is asked for the
    passphrase, for which a person at a terminal has several attempts.

    What `after` returns follows on its standard input, or `after_key` in its place if a key opens it. The slot
    `without` is not used. With `store`, only its connection is used. `known`: what `ways` said; else it is asked.
    `checks_first`: the command is one for `send_when_asked`. `told` gets the events of a command that takes long.
    Raises FromGateway and what prevents it.
    """

    def send_it(*words: str, secret: bytes | None = None) -> dict[str, Any]:
        return request.send(store, *words, secret=secret) if store else send(profile, *words, secret=secret)

    def carry_out(secret: bytes) -> dict[str, Any]:
        return request.follow(profile, *words, secret=secret, told=told) if told else send_it(*words, secret=secret)

    note, more = "", b""
    if use_keys:
        found = known or ways(project, send_it)
        signature, by, note, key = _by_key(profile, project, found, without) if found else (b"", "", "", None)
        if signature and key:
            given = after_key(key) if after_key else after()
            more = b"" if after_key else given
            try:
                return Opened(carry_out(_joined(signature, given)), by)
            except FromGateway as error:
                if error.slug != _WRONG:
                    raise
                note = f"{error}{'; ' if error.hint else ''}{error.hint}"
    left = passphrase_prompt.attempts()

    def typed(_said: str = "") -> bytes:
        nonlocal more
        secret = passphrase_prompt.read(f"Passphrase of {project}: ")
        more = more or after()
        return _joined(secret, more)

    while True:
        try:
            if checks_first:
                return Opened(send_when_asked(profile, *words, ask=typed), "your passphrase", note)
            return Opened(carry_out(typed()), "your passphrase", note)
        except FromGateway as error:
            left -= 1
            if error.slug != _WRONG or not left:
                raise
            print(terminal_text.in_one_line(f"enc: {error}; try again"), file=sys.stderr)


def _joined(first: bytes, more: bytes) -> bytes:
    return first.removesuffix(b"\n") + (b"\n" + more.removesuffix(b"\n") if more else b"")


def _by_key(profile: Profile, project: str, found: Ways, without: str) -> tuple[bytes, str, str, signing.Key | None]:
    """A signature that unlocks the project, the words for whose it is, why there is none (for a key that should), and
    the key.

    Raises Usage when nothing but a key opens the project, and none of the user's does.
    """
    wanted = {str(each["public_key"]): each for each in found.challenges if each["slot"] != without}
    note = ""
    for key in signing.keys(profile) if wanted else []:
        if key.blob not in wanted:
            continue
        each = wanted[key.blob]
        try:
            signature = signing.sign(profile, key, str(each["text"]))
        except Misconfigured as error:
            note = f"{error}; {error.hint}"
            break
        if signature:
            return signature, f"your SSH key {each['fingerprint']}", "", key
        note = f"{each['fingerprint']} did not sign: the agent refused, or the key file has a passphrase (ssh-add it)"
    if "passphrase" not in found.kinds:
        hint = note or f"`enc slots {project}` lists its keys; `enc recover {project}` takes the recovery code"
        raise Usage(f"{project} has no passphrase, and no key here unlocks it", hint)
    return b"", "", note, None


def new_key(profile: Profile, project: str, identity: str = "") -> NewKey:
    """Sign a new challenge twice, with the key of the file `identity`, or the first of the user's keys. Raises Usage
    when there is none, it does not sign, or signs differently each time.
    """
    asked = send(profile, "challenge", project, "--new")
    found = signing.keys(profile._replace(identity=identity or profile.identity))
    if identity:
        found = [key for key in found if key.blob == signing.of_file(identity)]
    if not found:
        hint = "name a key file with --key-file, or load one: ssh-add ~/.ssh/id_ed25519"
        raise Usage("no Ed25519 key is in the agent or in the config", hint)
    return _sign_twice(profile, found[0], str(asked["text"]))


def key_along(profile: Profile, project: str, key: signing.Key) -> bytes:
    """What hands `key` in for the new vault of a project that is rekeyed. Raises as `new_key`."""
    asked = send(profile, "challenge", project, "--rekey")
    return _sign_twice(profile, key, str(asked["text"])).lines


def _sign_twice(profile: Profile, key: signing.Key, text: str) -> NewKey:
    first, second = (signing.sign(profile, key, text) for _ in range(2))
    if not (first and second):
        hint = (
            "the agent refused (as for ssh-add -h and -c), or went away, or the key file has a passphrase: ssh-add it"
        )
        raise Usage(f"the key {key.comment or key.path} did not sign", hint)
    if first != second:
        hint = "use the key file instead of the agent, or a passphrase"
        raise Usage("your agent signs differently each time, so its key cannot unlock a project", hint)
    return NewKey(text.encode() + first + second, first)
