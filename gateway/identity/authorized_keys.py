"""Parse authorized_keys as sshd(8) describes it. No other module does.

sshd decides who may log in. This module tells what a line says about a key that has logged in: its principal, its
label, and whether the line is still there and valid. Options are read as OpenSSH's auth-options.c reads them.
"""

from __future__ import annotations

import os
import stat
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
INVITATION_PREFIX = "invite:"
"""How ENC_USER starts on the line of an invitation. No principal's name has a colon."""

REVOKED = "your key is no longer authorized"
"""What a caller is told whose access ends while it acts."""
MAX_BYTES = 16 * 1024 * 1024
"""Of the file: about 60,000 lines. A larger one is refused as a whole, for every login and every session reads it."""

_CHUNK = 512 * 1024
_BLANKS = " \t"


class Option(Record):
    """One option; `value` is the text in its quotes, None for a flag."""

    name: str
    value: str | None = None

    def dump(self) -> str:
        """The option as text, which `parse` reads back as the same option."""
        return self.name if self.value is None else self.name + '="' + self.value.replace('"', '\\"') + '"'


class Entry(Record):
    """One line: key type, base64 blob, ENC_USER ("" for none), comment, line number.

    `expires` is when sshd stops accepting the line (seconds since the epoch). `problem` says why sshd accepts nobody
    with this line; "" if it is valid.
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
    def invitation_for(self) -> str:
        """The principal for whom an invitation's key may hand in a key; "" if the line is not an invitation."""
        return self.principal.removeprefix(INVITATION_PREFIX) if self.principal.startswith(INVITATION_PREFIX) else ""

    def option_value(self, option: str) -> str:
        """The value of the first option of that name, or ""."""
        return next((one.value or "" for one in self.options if one.name.lower() == option), "")

    def has_expired(self, now: float) -> bool:
        """Whether sshd no longer accepts the line at `now`, in seconds since the epoch."""
        return is_over(self.expires, now)

    def has_flag(self, flag: str) -> bool:
        return any(one.name.lower() == flag and one.value is None for one in self.options)


def is_over(expires: float, now: float) -> bool:
    """Whether a line that `expires` then is no longer valid at `now`, both in seconds since the epoch.

    The second of `expires` itself still counts: sshd compares whole seconds (OpenSSH, auth.c, auth_authorise_keyopts).
    """
    return int(now) > expires


def fingerprint(blob: str) -> str:
    """`SHA256:...` of a base64 key blob, as `ssh-keygen -lf` prints it. Raises ValueError for invalid base64."""
    import binascii

    raw = binascii.a2b_base64(blob, strict_mode=True)
    digest = binascii.b2a_base64(sha256(raw).digest(), newline=False).decode()
    return "SHA256:" + digest.rstrip("=")


def is_key(key_type: str, blob: str) -> bool:
    """Whether `blob` is a complete public key of type `key_type`, one of KEY_TYPES (RFC 4253, 6.6; PROTOCOL.u2f)."""
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
    expected = dict(zip(KEY_TYPES, (2, 3), strict=True)).get(key_type)
    return len(fields) == expected and fields[0] == key_type.encode() and len(fields[1]) == 32


def dump(options: tuple[Option, ...], key_type: str, blob: str, label: str) -> str:
    """Format a line, without its newline."""
    words = (",".join(option.dump() for option in options), key_type, blob, label)
    return " ".join(word for word in words if word)


def authorizes(entry: Entry, blob: str, principal: str) -> bool:
    """Whether `entry` authorizes the key `blob` as `principal`. Without ENC_USER, the principal is the fingerprint."""
    return entry.blob == blob and not entry.problem and (entry.principal or fingerprint(blob)) == principal


def load(path: str) -> tuple[Entry, ...]:
    """The key lines of the file `path`; raises Misconfigured when it cannot be read."""
    return parse(read(path))


def load_key(path: str, blob: str) -> tuple[Entry, ...]:
    """The lines of the key `blob` in the file `path`; raises Misconfigured when it cannot be read."""
    return entries_of(read_bytes(path), blob)


def read(path: str) -> str:
    """The text of the file `path`; raises Misconfigured when it cannot be read."""
    return read_bytes(path).decode(errors="replace")


def read_bytes(path: str) -> bytes:
    """The content of the file `path`, which may be behind links. Does not block on a FIFO or device.

    Raises Misconfigured when it cannot be read, is no regular file, or has more than MAX_BYTES.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Misconfigured(f"{path} cannot be read", "it is not a regular file")
            content = b""
            while len(content) <= MAX_BYTES and (chunk := file.read(_CHUNK)):
                content += chunk
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read", error.strerror) from error
    if len(content) > MAX_BYTES:
        raise Misconfigured(f"{path} cannot be read", f"it has more than {MAX_BYTES >> 20} MiB")
    return content


def entries_of(content: bytes, blob: str) -> tuple[Entry, ...]:
    """The entries of the key `blob` (base64) that `parse` finds in the text of `content`.

    Only lines that contain the blob are parsed: with 2,000 lines, parsing all takes 50 ms.
    """
    wanted, found = blob.encode(), []
    start, number = 0, 1  # of a line
    while (at := content.find(wanted, start)) >= 0:
        number += content.count(b"\n", start, at)
        begin, end = content.rfind(b"\n", 0, at) + 1, content.find(b"\n", at)
        end = len(content) if end < 0 else end
        entry = _line(content[begin:end].decode(errors="replace"), number)
        if entry and entry.blob == blob and entry.key_type in KEY_TYPES:
            found.append(entry)
        start, number = end + 1, number + 1
    return tuple(found)


def parse(text: str) -> tuple[Entry, ...]:
    """The lines with a key of KEY_TYPES, without comments, blank lines, and lines that sshd would skip."""
    return tuple(entry for entry in lines(text) if entry.key_type in KEY_TYPES)


def lines(text: str) -> Iterator[Entry]:
    """All lines except comments and blank ones. A line without a key of KEY_TYPES has a `problem`.

    Its type is then "" unless it was recognised, and its blob is "".
    """
    # not splitlines(), strip() and split(): they also split at characters at which sshd does not
    for number, raw in enumerate(text.split("\n"), 1):
        if entry := _line(raw, number):
            yield entry


def _line(raw: str, number: int) -> Entry | None:
    """None for a comment or a blank line."""
    line = raw.strip(_BLANKS + "\r")
    return _entry(line, number) if line and not line.startswith("#") else None


def _entry(line: str, number: int) -> Entry:
    options_text = "" if _word(line)[0].startswith((*KEY_TYPES, *_OTHER_TYPES)) else line[: _end_of_options(line)]
    key_type, rest = _word(line[len(options_text) :].lstrip(_BLANKS))
    blob, label = _word(rest)
    if not blob or key_type not in KEY_TYPES:
        other = key_type.startswith(_OTHER_TYPES) and blob
        problem = f"{key_type} keys are not accepted" if other else "it has no readable key"
        return Entry(
            key_type=key_type if other else "", blob="", principal="", label=label, line=number, problem=problem
        )
    options, problem = _options(options_text)
    entry = Entry(key_type=key_type, blob=blob, principal="", label=label, line=number, options=options)
    expires = _expires(entry)
    if entry.has_flag("cert-authority"):
        problem = "cert-authority makes it a line for certificates, not for the key itself"
    if expires is None:
        problem = "expiry-time has a date that sshd cannot read"
    return entry.replace(principal=_enc_user(options), expires=expires or NEVER, problem=problem)


def _word(text: str) -> tuple[str, str]:
    """The first word of `text`, and the rest without the blanks between them."""
    end = next((at for at, char in enumerate(text) if char in _BLANKS), len(text))
    return text[:end], text[end:].lstrip(_BLANKS)


def _end_of_options(line: str) -> int:
    """Options end at the first blank outside double quotes."""
    return next((at for at, char, quoted in _scan(line) if char in _BLANKS and not quoted), len(line))


def _options(text: str) -> tuple[tuple[Option, ...], str]:
    """The options in `text`, and why sshd would refuse the line ("" if it would not)."""
    if not text:
        return (), ""
    commas = [at for at, char, quoted in _scan(text) if char == "," and not quoted]
    found, problem = [], ""
    for start, end in zip([0, *[at + 1 for at in commas]], [*commas, len(text)], strict=True):
        name, equals, value = text[start:end].partition("=")
        if not name:
            problem = "an option is empty: there is a comma too many"
        quoted = len(value) > 1 and value[0] == value[-1] == '"' and value[-2] != "\\"
        if equals and not quoted:
            problem = f"the value of {name} is not in double quotes"
        value = value[1:-1].replace('\\"', '"') if quoted else value.strip('"')
        found.append(Option(name=name, value=value if equals else None))
    return tuple(found), problem


def _enc_user(options: tuple[Option, ...]) -> str:
    """The value of environment="ENC_USER=..."; if there are several, sshd takes the first."""
    for option in options:
        variable, _, principal = (option.value or "").partition("=")
        if option.name.lower() == "environment" and variable == "ENC_USER":
            return principal
    return ""


def _expires(entry: Entry) -> float | None:
    """The earliest expiry-time, 0 if there is none, None if one cannot be read."""
    times = [parse_timespec(option.value or "") for option in entry.options if option.name.lower() == "expiry-time"]
    return None if None in times else min((time_ for time_ in times if time_), default=0.0)


def parse_timespec(timespec: str) -> float | None:
    """Seconds since the epoch of YYYYMMDD[HHMM[SS]][Z]: UTC with the Z, else the host's time zone. None if invalid."""
    digits = timespec.removesuffix("Z")
    if len(digits) not in (8, 12, 14) or not (digits.isascii() and digits.isdigit()):
        return None
    parts = [int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, len(digits), 2)), 0, 0, 0][:6]
    year, month, day, hour, minute, second = parts
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 62):
        return None
    if timespec == digits:
        return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
    # Days since the epoch. The year starts in March, so the leap day is its last; importing `calendar` takes 3 ms
    shifted, since_march = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400 + (153 * since_march + 2) // 5 + day - 719469
    return days * 86400.0 + hour * 3600 + minute * 60 + second


def _scan(text: str) -> Iterator[tuple[int, str, bool]]:
    """Each character with its position, and whether it is inside quotes, as sshd(8) reads options."""
    quoted, before = False, ""
    for at, char in enumerate(text):
        if char == '"' and before != "\\":
            quoted = not quoted
        yield at, char, quoted
        before = char
