"""authorized_keys as sshd(8) describes it: the only parser of it.

sshd decides who gets in; this answers what a line says about a key that already got in: its principal, its label,
and whether the line is still there and good. Options are read as OpenSSH's auth-options.c reads them.
"""

from __future__ import annotations

import time

from gateway.base.records import Record
from gateway.base.sha256 import sha256
from gateway.errors import Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_TYPES = ("ssh-ed25519", "sk-ssh-ed25519@openssh.com")
_OTHER_TYPES = ("ssh-rsa", "ssh-dss", "ecdsa-sha2-", "sk-ecdsa-sha2-", "rsa-sha2-", "ssh-ed25519-cert-")
NEVER = float("inf")
INVITES = "invite:"
"""What ENC_USER starts with on the line of an invitation: no principal's name has a colon."""

_BLANKS = " \t"


class Option(Record):
    """One option; `value` is what stands in its quotes, None for a flag."""

    name: str
    value: str | None = None

    def dump(self) -> str:
        """As a line has it: `parse` reads the same option from it."""
        return self.name if self.value is None else self.name + '="' + self.value.replace('"', '\\"') + '"'


class Entry(Record):
    """One line: type, base64 blob, the principal its ENC_USER names ("" for none), its comment, its line number.

    `expires` is when sshd stops to accept it (seconds since the epoch). `problem` says why sshd lets nobody in by the
    line as it stands, "" for a good one.
    """

    key_type: str
    blob: str
    principal: str
    label: str
    line: int
    options: tuple[Option, ...] = ()
    expires: float = NEVER
    problem: str = ""

    @property
    def invites(self) -> str:
        """The principal that the line's key may hand in a key for ("" for a line that is no invitation)."""
        return self.principal.removeprefix(INVITES) if self.principal.startswith(INVITES) else ""

    def value(self, option: str) -> str:
        """The value of the first option of that name, or ""."""
        return next((one.value or "" for one in self.options if one.name.lower() == option), "")

    def has(self, flag: str) -> bool:
        return any(one.name.lower() == flag and one.value is None for one in self.options)


def fingerprint(blob: str) -> str:
    """`SHA256:...` of a base64 key blob, as `ssh-keygen -lf` prints it. Raises ValueError for bad base64."""
    import binascii

    raw = binascii.a2b_base64(blob, strict_mode=True)
    digest = binascii.b2a_base64(sha256(raw).digest(), newline=False).decode()
    return "SHA256:" + digest.rstrip("=")


def is_key(key_type: str, blob: str) -> bool:
    """Whether `blob` is a whole public key of that type, of KEY_TYPES (RFC 4253, 6.6; PROTOCOL.u2f)."""
    import binascii

    try:
        rest = binascii.a2b_base64(blob, strict_mode=True)
    except ValueError:
        return False
    fields = []
    while rest:
        end = 4 + int.from_bytes(rest[:4], "big")
        fields.append(rest[4:end])
        if len(rest) < max(end, 4):
            return False
        rest = rest[end:]
    wanted = dict(zip(KEY_TYPES, (2, 3), strict=True)).get(key_type)
    return len(fields) == wanted and fields[0] == key_type.encode() and len(fields[1]) == 32


def dump(options: tuple[Option, ...], key_type: str, blob: str, label: str) -> str:
    """A line, without its newline."""
    words = (",".join(option.dump() for option in options), key_type, blob, label)
    return " ".join(word for word in words if word)


def means(entry: Entry, blob: str, principal: str) -> bool:
    """Whether `entry` lets the key `blob` in as `principal`: without ENC_USER a key's principal is its fingerprint."""
    return entry.blob == blob and not entry.problem and (entry.principal or fingerprint(blob)) == principal


def load(path: str) -> tuple[Entry, ...]:
    """The key lines of the file `path`; raises Misconfigured when it cannot be read."""
    return parse(read(path))


def read(path: str) -> str:
    """The text of the file `path`; raises Misconfigured when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
            return file.read()
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read", error.strerror) from error


def parse(text: str) -> tuple[Entry, ...]:
    """Every line that has a key of ours; comments, blank lines and lines that sshd would skip are left out."""
    return tuple(entry for entry in lines(text) if entry.key_type in KEY_TYPES)


def lines(text: str) -> Iterator[Entry]:
    """Every line but comments and blank ones. One that has no key of KEY_TYPES has a `problem`, and no type or blob
    unless they could be told.
    """
    # not splitlines, strip and split(): lines end and words are parted for us where they are for sshd, nowhere else
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(_BLANKS + "\r")
        if line and not line.startswith("#"):
            yield _entry(line, number)


def _entry(line: str, number: int) -> Entry:
    given = "" if _word(line)[0].startswith((*KEY_TYPES, *_OTHER_TYPES)) else line[: _end_of_options(line)]
    key_type, rest = _word(line[len(given) :].lstrip(_BLANKS))
    blob, label = _word(rest)
    if not blob or key_type not in KEY_TYPES:
        weak = key_type.startswith(_OTHER_TYPES) and blob
        problem = f"{key_type} keys are not let in" if weak else "there is no key that could be read"
        return Entry(
            key_type=key_type if weak else "", blob="", principal="", label=label, line=number, problem=problem
        )
    options, problem = _options(given)
    found = Entry(key_type=key_type, blob=blob, principal="", label=label, line=number, options=options)
    expires = _expires(found)
    if found.has("cert-authority"):
        problem = "the line is for certificates (cert-authority), not for the key itself"
    if expires is None:
        problem = "expiry-time is no date that sshd can read"
    return found.replace(principal=_enc_user(options), expires=expires or NEVER, problem=problem)


def _word(text: str) -> tuple[str, str]:
    """The first word of `text`, and what follows the blanks behind it."""
    end = next((at for at, char in enumerate(text) if char in _BLANKS), len(text))
    return text[:end], text[end:].lstrip(_BLANKS)


def _end_of_options(line: str) -> int:
    """Options end at the first blank outside double quotes."""
    return next((at for at, char, quoted in _scan(line) if char in _BLANKS and not quoted), len(line))


def _options(text: str) -> tuple[tuple[Option, ...], str]:
    """The options in `text`, and what sshd would refuse the line for ("" for nothing)."""
    if not text:
        return (), ""
    commas = [at for at, char, quoted in _scan(text) if char == "," and not quoted]
    found, problem = [], ""
    for start, end in zip([0, *[at + 1 for at in commas]], [*commas, len(text)], strict=True):
        name, equals, value = text[start:end].partition("=")
        if not name:
            problem = "an option is missing beside a comma"
        quoted = len(value) > 1 and value[0] == value[-1] == '"' and value[-2] != "\\"
        if equals and not quoted:
            problem = f"the value of {name} is not in double quotes"
        value = value[1:-1].replace('\\"', '"') if quoted else value.strip('"')
        found.append(Option(name=name, value=value if equals else None))
    return tuple(found), problem


def _enc_user(options: tuple[Option, ...]) -> str:
    """The value of environment="ENC_USER=..."; of several, sshd takes the first."""
    for option in options:
        variable, _, principal = (option.value or "").partition("=")
        if option.name.lower() == "environment" and variable == "ENC_USER":
            return principal
    return ""


def _expires(entry: Entry) -> float | None:
    """The earliest expiry-time, 0 for none, None when one cannot be read."""
    moments = [moment(option.value or "") for option in entry.options if option.name.lower() == "expiry-time"]
    return None if None in moments else min((found for found in moments if found), default=0.0)


def moment(timespec: str) -> float | None:
    """Seconds since the epoch of YYYYMMDD[HHMM[SS]], in the host's time zone, or with a Z behind it in UTC."""
    digits = timespec.removesuffix("Z")
    if len(digits) not in (8, 12, 14) or not (digits.isascii() and digits.isdigit()):
        return None
    parts = [int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, len(digits), 2)), 0, 0, 0][:6]
    year, month, day, hour, minute, second = parts
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 62):
        return None
    if timespec == digits:
        return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
    # days since the epoch, a year beginning in March so that the leap day is its last; `calendar` takes 3 ms to load
    shifted, since_march = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400 + (153 * since_march + 2) // 5 + day - 719469
    return days * 86400.0 + hour * 3600 + minute * 60 + second


def _scan(text: str) -> Iterator[tuple[int, str, bool]]:
    """Each character, with its position and whether it stands inside quotes, as sshd(8) reads options."""
    quoted, before = False, ""
    for at, char in enumerate(text):
        if char == '"' and before != "\\":
            quoted = not quoted
        yield at, char, quoted
        before = char
