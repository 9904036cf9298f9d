"""Tell the caller an error where the caller looks for it: a person on standard error, a client of scp in its protocol.

rsync and git pass on standard error. SFTP has rshell.session.sftp.refusal.
"""

from __future__ import annotations

from gateway.errors import EncError
from rshell.terminal import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_FATAL = "\x02"
"""What begins the line of an error that ends a copy, in scp's protocol. Each client shows the rest of the line."""


def tell(error: EncError, words: Sequence[str], as_json: bool) -> None:
    """`words` are those of the line, split anyhow: it may be one that the grammar refused."""
    if _is_written_by_scp(words):
        output.write(1, f"{_FATAL}enc: {error.line()}\n")
    else:
        output.failure(error, as_json)


def _is_written_by_scp(words: Sequence[str]) -> bool:
    """Whether a client of scp reads our standard output: it asked to receive (-t) or to send (-f)."""
    if tuple(words[:1]) != ("scp",):
        return False
    for word in words[1:]:
        if not word.startswith("-") or word == "--":
            return False
        if set("tf") & set(word):
            return True
    return False
