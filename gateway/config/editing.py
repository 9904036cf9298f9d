"""Set keys in the text of a gateway.toml, and leave everything else in it as it is."""

from __future__ import annotations

from gateway.base import toml
from gateway.config import loader
from gateway.errors import Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def with_values(text: str, values: Mapping[str, str], source: str) -> str:
    """`text` with these values of keys (dotted names of strings). A key's line, also one in a comment as the installed
    file has it, is replaced; a new one goes below its table. Raises Misconfigured when the result is no configuration.
    """
    try:
        given = toml.parse(text)
    except toml.PlainTomlError as error:
        raise Misconfigured(f"{source}, {error}") from error
    lines = text.split("\n")
    for name, value in values.items():
        table, _, key = name.rpartition(".")
        line = toml.dump({key: value}).strip()
        if name in given:
            at = given[name].line - 1
            if given[name].value != value:
                lines[at] = f"{lines[at].partition('=')[0].rstrip()} = {line.partition(' = ')[2]}"
        elif dotted := [one.line for other, one in given.items() if _is_dotted(other, table, lines[one.line - 1])]:
            lines.insert(dotted[0], f"{table}.{line}")
        else:
            _insert(lines, table, key, line)
        given = toml.parse("\n".join(lines))
    changed = "\n".join(lines)
    loader.parse(changed, source)
    return changed


def _is_dotted(name: str, table: str, line: str) -> bool:
    """Whether the key `name` is one of `table` by a line as `paths.run = ...`: no [paths] may follow that."""
    return name.rpartition(".")[0] == table and line.lstrip().startswith(f"{table}.")


def _insert(lines: list[str], table: str, key: str, line: str) -> None:
    header = next((at for at, one in enumerate(lines) if one.split("#")[0].strip() == f"[{table}]"), None)
    if header is None:
        while lines and not lines[-1].strip():
            lines.pop()
        lines += ["", f"[{table}]", line, ""]
        return
    end = next((at for at in range(header + 1, len(lines)) if lines[at].lstrip().startswith("[")), len(lines))
    for at in range(header + 1, end):
        if lines[at].replace(" ", "").startswith(f"#{key}="):
            lines[at] = line
            return
    lines.insert(header + 1, line)
