"""`enc forward`."""

from __future__ import annotations

import click

from client import options, output
from client.completion import PROJECT_OR_HERE
from client.errors import Usage
from client.operations import whereabouts
from client.state import config, hosts
from client.state import store as stores
from client.state.config import GatewayOptions
from client.workspace import files, forwards, reach


@click.command("forward")
@PROJECT_OR_HERE
@click.argument("port", required=False, metavar="[LOCAL:]PORT")
@click.option("--list", "lists", is_flag=True, help="List the forwards that there are.")
@options.HOST
@options.SSH_CONFIG
@options.IDENTITY
@options.JSON
def command(
    project: str | None,
    port: str | None,
    lists: bool,
    host: str | None,
    ssh_config: str | None,
    identity: str | None,
    as_json: bool,
) -> int:
    """Forward a port of this machine to PORT of a server that you run in the workspace of PROJECT, until Ctrl-C.

    It listens on the loopback of this machine alone, and ends with the lock. Instead of PORT, the path of a socket will
    do: 8080:/tmp/server.sock. In a mount, PROJECT may be left out.
    """
    given: GatewayOptions = options.given(host, ssh_config, identity)
    if lists:
        found = [one for each in hosts.all_of(config.choose(given)) for one in forwards.listed(stores.of(each))]
        rows = [(one.project, str(one.local), one.target) for one in found]
        text = output.columns([("PROJECT", "LOCAL", "TARGET"), *rows]) if rows else "nothing is forwarded"
        output.result({"forwards": [one._asdict() for one in found]}, text, as_json)
        return 0
    if port is None:
        project, port = None, project
    if port is None:
        raise Usage("no port was given", "write enc forward [PROJECT] [LOCAL:]PORT")
    place = whereabouts.resolve(given, project or "", None, "forward")
    forward = forwards.parse(place.project, port)
    files.public_key()
    block = files.write_block(place.profile, place.project, given)
    options.reach(place.profile, lambda where: reach.meet(where, place.project, block.home))
    child = forwards.start(forward, block.name)
    with forwards.recorded(stores.of(place.profile), forward, child):
        output.result(forward._asdict(), f"{forward.words}, until you press Ctrl-C", as_json)
        try:
            child.wait()
        except KeyboardInterrupt:
            return 0
    output.note(f"the forward has ended: {place.project} was locked, or the connection has closed")
    return 75
