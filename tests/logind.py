"""A fake systemd-logind: it gives out inhibitor locks against sleep, and announces a sleep.

Run as a program, it serves on the bus of DBUS_SYSTEM_BUS_ADDRESS. A line on standard input makes it announce a sleep.
It prints `held` when a lock is taken, and `released` when no process holds it any more.
"""

from __future__ import annotations

import os
import select
import sys

from jeepney import DBusAddress, HeaderFields, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

NAME = "org.freedesktop.login1"


def serve() -> None:
    """Serve until standard input ends."""
    bus = open_dbus_connection(os.environ["DBUS_SYSTEM_BUS_ADDRESS"], enable_fds=True)
    bus.send_and_get_reply(message_bus.RequestName(NAME))
    manager = DBusAddress("/org/freedesktop/login1", bus_name=NAME, interface=f"{NAME}.Manager")
    print("ready", flush=True)
    holding: int | None = None
    while True:
        watched = [bus.sock, sys.stdin, *([holding] if holding is not None else [])]
        readable, _, _ = select.select(watched, [], [])
        if holding in readable:
            os.close(holding)  # type: ignore[arg-type]
            holding = None
            print("released", flush=True)
        if sys.stdin in readable:
            if not sys.stdin.readline():
                return
            bus.send(new_signal(manager, "PrepareForSleep", "b", (True,)))
        if bus.sock in readable:
            asked = bus.receive()
            if asked.header.fields.get(HeaderFields.member) == "Inhibit":
                holding, given = os.pipe()
                bus.send(new_method_return(asked, "h", (given,)))
                os.close(given)
                print("held", flush=True)


if __name__ == "__main__":
    serve()
