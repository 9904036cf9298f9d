"""Options of `key add` and `key approve` that become options of a line in authorized_keys."""

from __future__ import annotations

import ipaddress

import click

from gateway.errors import Usage

expires_option = click.option(
    "--expires", default="", help="When the key expires: 2027-01-31, 2027-01-31T18:00, or 90d from now."
)
origin_option = click.option(
    "--from", "origin", default="", metavar="CIDR", help="Networks that the key may log in from, separated by commas."
)


def networks(text: str) -> str:
    """CIDR networks, separated by commas, in the form that sshd reads. Raises Usage."""
    try:
        return ",".join(str(ipaddress.ip_network(one.strip())) for one in text.split(",")) if text else ""
    except ValueError as error:
        raise Usage(f"--from takes networks such as 10.0.0.0/8: {error}") from error
