"""`enc push`."""

from __future__ import annotations

import click

from client import options, output
from client.commands import copied
from client.completion import PLACE
from client.operations import copying, project_path, rsync, survey
from client.state.config import Profile


@click.command("push")
@click.argument("source", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@PLACE
@click.option("--delete", "deletes", is_flag=True, help="Delete from PATH what DIR does not have.")
@options.gateway
def command(profile: Profile, source: str, place: str, deletes: bool, as_json: bool) -> None:
    """Copy the content of DIR into PROJECT, or into PATH in it, and compare both completely.

    A slash at an end changes nothing: DIR/file becomes PATH/file. PATH is made if it is not there. A file that differs
    is replaced, also where it is newer in PROJECT. What only PROJECT has stays, unless you say --delete. The same words
    continue a copy that was interrupted.

    PROJECT is unlocked for the length of the copy, if it is not unlocked here.
    """
    to = project_path.parse(place)
    rsync.check_installed()
    found = survey.examine(source)
    with copied.continued_by_the_same_words(str(to)):
        done = copying.push(profile, source, to, found, deletes)
    copied.tell(done, to, f"copied {output.short(source)} into {to}", as_json)
