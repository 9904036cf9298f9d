"""Find the key or the principal that a sysadmin names: by fingerprint or the beginning of one, by label, or by
principal.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.admin import output
from gateway.base.records import Record
from gateway.errors import EncError, NoSuchKey, Usage
from gateway.identity import authorized_keys
from gateway.identity.authorized_keys import Entry

_PREFIX = "SHA256:"
_LENGTH = len(_PREFIX) + 43
_SHORTEST = 4
"""Characters after the prefix."""
_DISTINCT = 8
"""Of 6 bits each. With 4 of them, a key that begins like another is made in minutes."""
_LISTED = 5


class Named(Record):
    """A key, and what else it is called. `fingerprint` is "" for a principal of whom no key is known."""

    fingerprint: str
    principal: str
    label: str = ""
    is_invitation: bool = False


def of_entries(entries: Iterable[Entry]) -> tuple[Named, ...]:
    """The keys of authorized_keys, in its order. What is no key is left out."""
    found = ((fingerprint(entry), entry) for entry in entries)
    return tuple(
        Named(
            fingerprint=of,
            principal=entry.invitation_for or entry.principal or of,
            label=entry.label,
            is_invitation=bool(entry.invitation_for),
        )
        for of, entry in found
        if of
    )


def fingerprint(entry: Entry) -> str:
    """The fingerprint of a line's key; "" for what is no key."""
    try:
        return authorized_keys.fingerprint(entry.blob)
    except ValueError:
        return ""


def is_whole(word: str) -> bool:
    """Whether `word` is a fingerprint in full."""
    return word.startswith(_PREFIX) and len(word) == _LENGTH


def is_short(word: str) -> bool:
    """Whether `word` is so little of a fingerprint that somebody could make a key that begins like it."""
    return word.startswith(_PREFIX) and len(_beginning(word)) < len(_PREFIX) + _DISTINCT


def _beginning(word: str) -> str:
    """`word` without what stands for the rest of a fingerprint in tables."""
    return word.removesuffix("\u2026").removesuffix("...")


def find(word: str, keys: Iterable[Named], none: NoSuchKey) -> str:
    """The fingerprint of the only key that `word` names. Raises `none`, or Usage when it names several."""
    known = tuple(one for one in keys if one.fingerprint)
    for names in (_by_fingerprint, _by_name):
        found = {one.fingerprint: one for one in known if names(word, one)}
        if len(found) > 1:
            listed = [f"{one.fingerprint} {one.label or one.principal}" for one in found.values()][:_LISTED]
            raise Usage(f"{word} names {len(found)} keys", f"name one of them: {', '.join(listed)}")
        if found:
            return next(iter(found))
    raise none


def find_principal(word: str, known: Iterable[Named], none: EncError) -> str:
    """The principal of that name, or else the only one whose keys `word` names. Raises `none`, or Usage when it names
    keys of several.
    """
    everybody = tuple(known)
    if word and any(one.principal == word for one in everybody):
        return word
    for names in (_by_fingerprint, _by_name):
        found = dict.fromkeys(one.principal for one in everybody if names(word, one))
        if len(found) > 1:
            listed = ", ".join(list(found)[:_LISTED])
            raise Usage(f"{word} names {len(found)} principals", f"name one of them: {listed}")
        if found:
            return next(iter(found))
    raise none


def nobody(word: str, *places: str) -> NoSuchKey:
    """The error for a name that nobody has: neither in authorized_keys nor in `places`."""
    where = " or ".join(("authorized_keys", *places))
    hint = "`enc-gateway key list` lists fingerprints, principals and labels"
    return NoSuchKey(f"no principal, key or label {_printable(word)} in {where}", hint)


def _printable(word: str) -> str:
    return output.visible(word) or '""'


def names(word: str, key: Named) -> bool:
    """Whether `word` names the key, perhaps among others."""
    return _by_fingerprint(word, key) or _by_name(word, key)


def _by_fingerprint(word: str, key: Named) -> bool:
    start = _beginning(word)
    is_long_enough = start.startswith(_PREFIX) and len(start) >= len(_PREFIX) + _SHORTEST
    return is_long_enough and key.fingerprint.startswith(start)


def _by_name(word: str, key: Named) -> bool:
    return word != "" and word in (key.principal, key.label)
