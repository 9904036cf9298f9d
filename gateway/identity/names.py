"""Validated names: each name that reaches a path or a command line is checked once, when it is read, into a type.

A value of one of these types is safe as a single path component, as an argument (it is never taken for an option), and
on a terminal.
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
    """A validated name. Text from outside is converted with `of`."""

    __slots__ = ()
    noun = "name"
    first = _LOWER | _DIGIT
    rest = _LOWER | _DIGIT | frozenset("._-")
    max_length = 63
    rule = "a-z, 0-9, '.', '_' and '-', first a letter or digit, no two dots in a row, at most 63 characters"

    @classmethod
    def of(cls, text: str) -> Self:
        """`text` as this type. Raises Usage; the message does not repeat the text, which may be hostile."""
        if not cls.accepts(text):
            raise Usage(f"that is not a valid {cls.noun}", f"use {cls.rule}")
        return cls(text)

    @classmethod
    def accepts(cls, text: str) -> bool:
        """Whether `text` is valid. A `..` inside is harmless to us, but filters of other programs refuse it."""
        allowed = 0 < len(text) <= cls.max_length and text[0] in cls.first and cls.rest.issuperset(text)
        return allowed and ".." not in text


class ProjectName(Name):
    noun = "project name"


class SlotName(Name):
    noun = "slot name"


class SessionId(Name):
    """`s-` and 12 hexadecimal digits."""

    noun = "session id"
    max_length = 14


class HostName(Name):
    """One gateway of a cluster."""

    noun = "host name"
    rest = _LOWER | _DIGIT | frozenset("-")
    rule = "a-z, 0-9 and '-', first a letter or digit, at most 63 characters"


class Principal(Name):
    """Who a key belongs to: ENC_USER of its line, or else the key's fingerprint.

    A fingerprint contains a colon and ENC_USER must not, so one cannot be mistaken for the other.
    """

    noun = "principal"
    first = _LOWER | _UPPER | _DIGIT
    rest = first | frozenset("._-@")
    rule = (
        "letters, digits, '.', '_', '-' and '@', first a letter or digit, no two dots in a row, at most 63 characters"
    )

    @classmethod
    def of_fingerprint(cls, fingerprint: str) -> Self:
        """The principal of a key without ENC_USER. Raises Usage unless it is `SHA256:` and 43 digits of base64."""
        kind, digits = fingerprint[:7], fingerprint[7:]
        if kind != "SHA256:" or len(digits) != 43 or not _BASE64.issuperset(digits):
            raise Usage("that is not a key's fingerprint", "it starts with SHA256:, as `ssh-keygen -lf` prints it")
        return cls(fingerprint)

    @classmethod
    def of_directory(cls, name: str) -> Self:
        """The principal whose `directory` has this name. Raises Usage if there is none."""
        kind, rest = name[:2], name[2:]
        if kind == "u-":
            return cls.of(rest)
        return cls.of_fingerprint("SHA256:" * (kind == "k-") + rest.replace("_", "/").replace("-", "+"))

    @classmethod
    def is_valid(cls, text: str) -> bool:
        """Whether `text` can be a principal: a valid ENC_USER, or a fingerprint."""
        if cls.accepts(text):
            return True
        try:
            cls.of_fingerprint(text)
        except Usage:
            return False
        return True

    @property
    def directory(self) -> str:
        """The name of the principal's directories: `u-dev1`, or `k-` and the fingerprint in base64url. It is unique."""
        if self.startswith("SHA256:"):
            return "k-" + self[7:].replace("/", "_").replace("+", "-")
        return "u-" + self

    @classmethod
    def of_word(cls, word: str) -> Self:
        """The principal of this `word`. Raises Usage."""
        if word.startswith("SHA256:"):
            return cls.of_fingerprint(word.replace("_", "/").replace("-", "+"))
        return cls.of(word)

    @property
    def word(self) -> str:
        """As it stands in the path of a project that is shared: the name; of a fingerprint, the base64url form."""
        return self.replace("/", "_").replace("+", "-") if self.startswith("SHA256:") else str(self)


class SharedName(str):
    """The name of a project of somebody else's that is shared with one: OWNER/PROJECT."""

    __slots__ = ("owner", "project")
    owner: Principal
    project: ProjectName

    @classmethod
    def made_of(cls, owner: Principal, project: ProjectName) -> SharedName:
        made = cls(f"{owner.word}/{project}")
        made.owner, made.project = owner, project
        return made

    @classmethod
    def of(cls, text: str) -> SharedName:
        """Raises Usage."""
        owner, _, project = text.partition("/")
        return cls.made_of(Principal.of_word(owner), ProjectName.of(project))

    @classmethod
    def accepts(cls, text: str) -> bool:
        try:
            return bool(cls.of(text))
        except Usage:
            return False


Named = ProjectName | SharedName
"""A project as its user names it."""


def named(text: str) -> Named:
    """A project of one's own, or of somebody else's. Raises Usage."""
    return SharedName.of(text) if "/" in text else ProjectName.of(text)


def in_vault(name: Named) -> ProjectName:
    """What its owner calls it."""
    return name.project if isinstance(name, SharedName) else name


def named_by(principal: Principal, owner: Principal, project: ProjectName) -> Named:
    """What `principal` calls the project of `owner`."""
    return project if principal == owner else SharedName.made_of(owner, project)
