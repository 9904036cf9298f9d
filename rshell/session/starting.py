"""How a program that the user names is started: in a directory of the project, or with our words for why it cannot be.

A small shell script does it inside the sandbox, where alone the program's own view of files counts. Its text is fixed;
the directory and the program's words are its arguments, which no shell reads as code.
"""

from __future__ import annotations

from gateway.errors import Usage
from rshell.session import execution

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.names import Named

_SCRIPT = r"""
say() { printf 'enc: %s\n' "$1" >&2; exit "$2"; }
cd -- "$0" 2>/dev/null || say "${0#/projects/} is no directory" 66
case $1 in
*/*)
    [ -e "$1" ] || say "there is no program $1 in ${0#/projects/}" 127
    [ -d "$1" ] && say "$1 is a directory" 126
    [ -x "$1" ] || say "$1 is not executable; \`chmod +x\` makes it so" 126
    ;;
*)
    command -v -- "$1" >/dev/null ||
        say "the gateway has no program $1; ask your sysadmin, or name a path in the project" 127
    ;;
esac
exec "$@"
"""


def words(project: Named, below: str) -> tuple[str, ...]:
    """The words to put before those of a program that is to start in the directory `below` in the project ("": its
    top). Raises Usage.
    """
    parts = [part for part in below.split("/") if part not in ("", ".")]
    if below.startswith("/") or ".." in parts:
        raise Usage("the directory is one in the project, without `..`", "write --directory src/lib")
    return ("/usr/bin/sh", "-c", _SCRIPT, "/".join((execution.directory(project), *parts)))
