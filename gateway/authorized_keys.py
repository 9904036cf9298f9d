"""authorized_keys as sshd(8) describes it: the only parser of it.

sshd decides who gets in; this answers what a line says about a key that already got in: its principal, its label,
and whether the line is still there.
"""

from __future__ import annotations

from gateway.digest import sha256
from gateway.errors import Misconfigured
from gateway.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_TYPES = ("ssh-ed25519", "sk-ssh-ed25519@openssh.com")
_BLANKS = " \t"


class Entry(Record):
    """One key line: type, base64 blob, the principal its ENC_USER names ("" for none), its comment, its line number."""

    key_type: str
    blob: str
    principal: str
    label: str
    line: int


def fingerprint(blob: str) -> str:
    """`SHA256:...` of a base64 key blob, as `ssh-keygen -lf` prints it. Raises ValueError for bad base64."""
    import binascii

    raw = binascii.a2b_base64(blob, strict_mode=True)
    digest = binascii.b2a_base64(sha256(raw).digest(), newline=False).decode()
    return "SHA256:" + digest.rstrip("=")


def means(entry: Entry, blob: str, principal: str) -> bool:
    """Whether `entry` lets the key `blob` in as `principal`: without ENC_USER a key's principal is its fingerprint."""
    return entry.blob == blob and (entry.principal or fingerprint(blob)) == principal


def load(path: str) -> tuple[Entry, ...]:
    """The key lines of the file `path`; raises Misconfigured when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
            return parse(file.read())
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read", error.strerror) from error


def parse(text: str) -> tuple[Entry, ...]:
    """Every line that has a key; comments, blank lines and lines that sshd would skip are left out."""
    # not splitlines, strip and split(): lines end and words are parted for us where they are for sshd, nowhere else
    entries = (_entry(line.strip(_BLANKS + "\r"), number) for number, line in enumerate(text.split("\n"), 1))
    return tuple(entry for entry in entries if entry)


def _entry(line: str, number: int) -> Entry | None:
    if not line or line.startswith("#"):
        return None
    options = "" if _word(line)[0] in KEY_TYPES else line[: _end_of_options(line)]
    key_type, rest = _word(line[len(options) :].lstrip(_BLANKS))
    blob, label = _word(rest)
    if not blob or key_type not in KEY_TYPES:
        return None
    return Entry(key_type=key_type, blob=blob, principal=_enc_user(options), label=label, line=number)


def _word(text: str) -> tuple[str, str]:
    """The first word of `text`, and what follows the blanks behind it."""
    end = next((at for at, char in enumerate(text) if char in _BLANKS), len(text))
    return text[:end], text[end:].lstrip(_BLANKS)


def _end_of_options(line: str) -> int:
    """Options end at the first blank outside double quotes."""
    return next((at for at, char, quoted in _scan(line) if char in _BLANKS and not quoted), len(line))


def _enc_user(options: str) -> str:
    """The value of environment="ENC_USER=..."; of several, sshd takes the first."""
    commas = [at for at, char, quoted in _scan(options) if char == "," and not quoted]
    for start, end in zip([0, *[at + 1 for at in commas]], [*commas, len(options)], strict=True):
        name, _, value = options[start:end].partition("=")
        variable, _, principal = value.strip('"').partition("=")
        if name.lower() == "environment" and variable == "ENC_USER":
            return principal
    return ""


def _scan(text: str) -> Iterator[tuple[int, str, bool]]:
    """Each character, with its position and whether it stands inside quotes, as sshd(8) reads options."""
    quoted, before = False, ""
    for at, char in enumerate(text):
        if char == '"' and before != "\\":
            quoted = not quoted
        yield at, char, quoted
        before = char
