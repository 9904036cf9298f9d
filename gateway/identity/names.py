"""Names that reach a path or a command line, each checked once, at the border, into a type.

A value of one of these types is safe as a single path component, as a word of an argv that cannot be taken for an
option, and on a terminal.
"""

from __future__ import annotations

from gateway.errors import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")
_DIGIT = frozenset("0123456789")
_UPPER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_BASE64 = _LOWER | _UPPER | _DIGIT | frozenset("+/")


class Name(str):
    """A validated name. `of` is the only way in from outside."""

    __slots__ = ()
    noun = "name"
    first = _LOWER | _DIGIT
    rest = _LOWER | _DIGIT | frozenset("._-")
    longest = 63
    rule = "a-z, 0-9, '.', '_' and '-', first a letter or digit, no two dots in a row, at most 63 characters"

    @classmethod
    def of(cls, text: str) -> Self:
        """`text` as this type; raises Usage, whose message does not repeat the text (it may be hostile)."""
        if not cls.accepts(text):
            raise Usage(f"that is not a valid {cls.noun}", f"use {cls.rule}")
        return cls(text)

    @classmethod
    def accepts(cls, text: str) -> bool:
        """`..` inside is harmless to us, but other programs' filters take offence at it."""
        known = 0 < len(text) <= cls.longest and text[0] in cls.first and cls.rest.issuperset(text)
        return known and ".." not in text


class ProjectName(Name):
    noun = "project name"


class SlotName(Name):
    noun = "slot name"


class SessionId(Name):
    """`s-` and 12 hexadecimal digits."""

    noun = "session id"
    longest = 14


class Principal(Name):
    """Who a key belongs to: ENC_USER of its line, else the key's fingerprint.

    A fingerprint contains a colon, which ENC_USER may not, so neither can be taken for the other.
    """

    noun = "principal"
    first = _LOWER | _UPPER | _DIGIT
    rest = first | frozenset("._-@")
    rule = (
        "letters, digits, '.', '_', '-' and '@', first a letter or digit, no two dots in a row, at most 63 characters"
    )

    @classmethod
    def of_fingerprint(cls, fingerprint: str) -> Self:
        """`SHA256:` and 43 digits of base64; raises Usage for anything else."""
        kind, digits = fingerprint[:7], fingerprint[7:]
        if kind != "SHA256:" or len(digits) != 43 or not _BASE64.issuperset(digits):
            raise Usage("that is not a key's fingerprint")
        return cls(fingerprint)

    @classmethod
    def of_directory(cls, name: str) -> Self:
        """The principal whose `directory` this is; raises Usage for anything else."""
        kind, rest = name[:2], name[2:]
        if kind == "u-":
            return cls.of(rest)
        return cls.of_fingerprint("SHA256:" * (kind == "k-") + rest.replace("_", "/").replace("-", "+"))

    @classmethod
    def names(cls, text: str) -> bool:
        """Whether `text` can be a principal: what ENC_USER may say, or a fingerprint."""
        if cls.accepts(text):
            return True
        try:
            cls.of_fingerprint(text)
        except Usage:
            return False
        return True

    @property
    def directory(self) -> str:
        """One path component, its own for each principal: `u-dev1`, or `k-` and the fingerprint in base64url."""
        if self.startswith("SHA256:"):
            return "k-" + self[7:].replace("/", "_").replace("+", "-")
        return "u-" + self
