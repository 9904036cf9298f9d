"""`enc-gateway --help`: each command is described by one whole sentence."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from gateway.cli import main

COLUMNS = 80


def groups(group: click.Group, name: str) -> Iterator[tuple[str, click.Group]]:
    yield name, group
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from groups(command, f"{name} {word}")


GROUPS = [pytest.param(group, id=name) for name, group in groups(main, "enc-gateway")]


@pytest.mark.parametrize("group", GROUPS)
def test_no_short_help_is_cut_off_in_the_list_of_commands(group: click.Group) -> None:
    context = click.Context(group, info_name="enc-gateway", terminal_width=COLUMNS)
    listed = group.get_help(context).partition("Commands:\n")[2].splitlines()
    assert len(listed) == len(group.commands)
    for line in listed:
        sentence = line.split(maxsplit=1)[1]
        assert sentence.endswith(".") and "..." not in sentence, line
        assert len(line) <= COLUMNS


def test_every_option_says_what_it_does() -> None:
    for _, group in groups(main, "enc-gateway"):
        for command in (group, *group.commands.values()):
            options = [one for one in command.params if isinstance(one, click.Option)]
            assert [one.name for one in options if not one.help] == [], command.name
