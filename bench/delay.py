"""A line with a round trip: `python delay.py HOST PORT MILLISECONDS`, as a ProxyCommand of ssh.

It carries standard input and output to the port, and holds what comes from each side back for half of that time. The
rate is not limited. It needs nothing of the kernel, such as netem, and nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import os
import sys

_READ_BYTES = 1 << 16
_ON_THE_WAY = 1024
"""How many reads can be on the way, in one direction."""


async def _delayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Carry until the end of `reader`, each read `seconds` after it came."""
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_ON_THE_WAY)

    async def read() -> None:
        while True:
            chunk = await reader.read(_READ_BYTES)
            await on_the_way.put((loop.time() + seconds, chunk))
            if not chunk:
                return

    reading = asyncio.create_task(read())
    try:
        while True:
            due, chunk = await on_the_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()
    finally:
        reading.cancel()


async def _main(host: str, port: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    there, to_there = await asyncio.open_connection(host, port)
    here = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(here), os.fdopen(0, "rb"))
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(1, "wb"))
    to_here = asyncio.StreamWriter(transport, protocol, None, loop)
    ways = [_delayed(here, to_there, seconds / 2), _delayed(there, to_here, seconds / 2)]
    _, left = await asyncio.wait([asyncio.create_task(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
    for way in left:
        way.cancel()


if __name__ == "__main__":
    try:
        asyncio.run(_main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1000))
    except OSError as error:
        sys.exit(f"delay: {error.strerror}")
