"""Write the man pages, made from the programs' --help: `manpages.py DIRECTORY`. script/man runs it."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from client.cli import group as enc
from client.errors import EncError
from client.operations import rsync, survey
from gateway.cli import main as enc_gateway
from gateway.config import reference, schema

SEE_ALSO = {
    "enc": "enc-gateway(8), ssh(1), sshfs(1)",
    "enc-gateway": "gateway.toml(5), enc(1), sshd_config(5), gocryptfs(1), bwrap(1)",
    "gateway.toml": "enc-gateway(8)",
}
EXIT_STATUS = (
    "0 is success. `enc run` and `enc open` end with the status of their program, and what the gateway refuses with "
    "its own. Else:"
)
WITH_ERRORS = (rsync, survey)
"""Modules that define errors of their own, which `exit_status_of_enc` finds once they are imported."""


def page(name: str, section: int, summary: str, parts: list[str]) -> str:
    """A page in the macros of man(7)."""
    parts = [*parts, *more_sections(name)]
    head = f'.TH "{name.upper()}" "{section}" "" "ENC {version("enc-gateway")}"\n.SH NAME\n{name} \\- {text(summary)}\n'
    return head + "".join(parts) + f".SH SEE ALSO\n{SEE_ALSO[name]}\n"


def more_sections(name: str) -> Iterator[str]:
    """The sections of man.d/NAME.txt: `# HEADING`, paragraphs, `- TERM: TEXT`, and indented lines, kept as they are."""
    source = Path(__file__).with_name("man.d") / f"{name}.txt"
    if not source.exists():
        return
    for block in source.read_text(encoding="utf-8").split("\n\n"):
        lines = block.strip("\n").splitlines()
        if lines[0].startswith("# "):
            yield f".SH {lines[0].removeprefix('# ')}\n"
        elif lines[0].startswith("    "):
            yield ".PP\n.nf\n" + "".join(f"{text(line)}\n" for line in lines) + ".fi\n"
        elif lines[0].startswith("- "):
            terms = (line.removeprefix("- ").split(": ", 1) for line in lines)
            yield "".join(f".TP\n.B {text(term)}\n{text(what)}\n" for term, what in terms)
        else:
            yield paragraphs(block)


def text(words: str) -> str:
    """Plain text escaped for roff, so that it has no escape sequence and no line that is a request."""
    lines = words.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in lines)


def paragraphs(words: str) -> str:
    """Text whose paragraphs are separated by blank lines."""
    blocks = [[line.strip() for line in block.splitlines()] for block in words.replace("\b", "").split("\n\n")]
    return "".join(f".PP\n{text(chr(10).join(filter(None, lines)))}\n" for lines in blocks if any(lines))


def entries(rows: Iterable[tuple[str, str]]) -> str:
    """A list of names, each with what it is."""
    return "".join(f".TP\n.B {text(name)}\n{text(what)}\n" for name, what in rows)


def exit_status_of_enc() -> list[str]:
    """The section of enc(1) with the exit codes of enc's own errors, and what they mean."""
    found: dict[int, list[str]] = {}
    for kind in sorted((kind for kind in _below(EncError) if "code" in vars(kind)), key=lambda kind: kind.code):
        found.setdefault(kind.code, []).append((kind.__doc__ or "").split("\n")[0])
    codes = [*((str(code), " ".join(texts)) for code, texts in found.items()), ("130", "Interrupted.")]
    return [".SH EXIT STATUS\n", paragraphs(EXIT_STATUS), entries(codes)]


def _below(kind: type[EncError]) -> list[type[EncError]]:
    return [each for child in kind.__subclasses__() for each in (child, *_below(child))]


def command(name: str, section: int, group: click.Command, more: Iterable[str] = ()) -> str:
    """The page of a program with all its commands, and the sections `more`."""
    context: Any = click.Context(group, info_name=name, **group.context_settings)
    with context:
        parts = [f".SH SYNOPSIS\n.B {text(name)}\n{text(' '.join(group.collect_usage_pieces(context)))}\n"]
        parts += [".SH DESCRIPTION\n", paragraphs(group.help or ""), options(group, context)]
        children = list(subcommands(name, group, context))
        parts += [".SH COMMANDS\n"] * bool(children) + children + [paragraphs(group.epilog or "")]
        parts += more
    summary = group.get_short_help_str(200).rstrip(".")
    return page(name, section, summary[:1].lower() + summary[1:], parts)


def subcommands(path: str, group: click.Command, context: click.Context) -> Any:
    """The sections of all commands below `group`, at any depth, in the order of --help."""
    if not isinstance(group, click.Group):
        return
    for word in group.list_commands(context):
        child = group.get_command(context, word)
        if child is None or child.hidden:
            continue
        inner: Any = click.Context(child, info_name=word, parent=context)
        with inner:
            yield f".SS {text(f'{path} {word} ' + ' '.join(child.collect_usage_pieces(inner)))}\n"
            yield paragraphs(child.help or "")
            yield options(child, inner, {param.name for param in group.get_params(context)})
            yield from subcommands(f"{path} {word}", child, inner)


def options(command: click.Command, context: click.Context, known: Container[str | None] = ()) -> str:
    """The options of a command, but for those that all commands of the program have: `known`."""
    params = [param for param in command.get_params(context) if param.name not in known]
    records = [record for param in params if (record := param.get_help_record(context))]
    return entries((flags, help_) for flags, help_ in records if help_)


def keys() -> str:
    """gateway.toml(5)."""
    parts = [".SH DESCRIPTION\n", paragraphs(reference.INTRODUCTION), ".SH KEYS\n"]
    for key in schema.KEYS:
        parts.append(f".TP\n\\fB{text(key.name)}\\fR (default: {text(reference.default_text(key))})\n{text(key.doc)}\n")
    parts.append(".SH FILES\n/etc/enc/gateway.toml\n")
    return page("gateway.toml", 5, "configuration of an ENC gateway", parts)


def main(directory: Path) -> None:
    pages = {
        "enc.1": command("enc", 1, enc, exit_status_of_enc()),
        "enc-gateway.8": command("enc-gateway", 8, enc_gateway),
        "gateway.toml.5": keys(),
    }
    for name, content in pages.items():
        (directory / name).write_text(content, encoding="utf-8")
        print(name)


main(Path(sys.argv[1]))
