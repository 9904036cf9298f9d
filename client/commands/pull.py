"""`enc pull`."""

from __future__ import annotations

import click

from client import options, output
from client.commands import copied
from client.completion import PLACE
from client.operations import copying, project_path, rsync
from client.state.config import Profile


@click.command("pull")
@PLACE
@click.argument("target", metavar="DIR", type=click.Path())
@click.option("--delete", "deletes", is_flag=True, help="Delete from DIR what PATH does not have.")
@options.gateway
def command(profile: Profile, place: str, target: str, deletes: bool, as_json: bool) -> None:
    """Copy the content of PROJECT, or of PATH in it, into DIR, and compare both completely.

    A slash at an end changes nothing: PATH/file becomes DIR/file. DIR is made if it is not there. A file that differs
    is replaced, also where it is newer in DIR. What only DIR has stays, unless you say --delete. The same words
    continue a copy that was interrupted.

    PROJECT is unlocked for the length of the copy, if it is not unlocked here. What is in DIR is not encrypted.
    """
    source = project_path.parse(place)
    rsync.check_installed(pulls=True)
    with copied.continued_by_the_same_words(target):
        done = copying.pull(profile, source, target, deletes)
    copied.tell(done, source, f"copied {source} into {output.short(target)}", as_json)
