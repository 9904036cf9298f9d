"""A program of its own: an HTTP proxy to the listed targets, and to nothing else.

    python3 -I -S egress.py LISTENER TARGET ...

LISTENER is a descriptor, a listening socket in the network namespace of a program, for which this proxy is the only way
out; we are in the host's. A TARGET is NAME:PORT, *.NAME:PORT (every name below NAME, not NAME itself), ADDRESS:PORT or
[ADDRESS]:PORT. Names are compared whole, without case. `CONNECT` reaches any target, and so does a request for an
http:// URL, each on a connection of its own.

A name that leads into the host itself, its networks or any other that is not public is refused, unless the address is a
target as well with that port: otherwise who answers for a name could lead a program there. A name is resolved once, and
the address that was judged is connected to. No name is looked up that is not listed.

Standard output is a socket. It has `ready`, and then one line for each new target: `allow TARGET`, or `deny REASON
TARGET` (`-`: a request that is none); each is answered by a dot, and only then a target is connected to. Beyond
_MOST_ALLOWED targets no new one is reached, and beyond _MOST_REFUSED they are counted: `more COUNT` is the last line.
We end with standard input, or when there is no answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import resource
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Iterable

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MOST_ALLOWED, _MOST_REFUSED = 200, 100
_MOST_CONNECTIONS = 200
_LONGEST_HEAD = 32 * 1024
_HEAD_SECONDS, _CONNECT_SECONDS = 60.0, 15.0
_CHUNK = 64 * 1024

_AUTHORITY = r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])"
_CONNECT = re.compile(rf"CONNECT {_AUTHORITY}:([0-9]{{1,5}}) HTTP/1\.[01]")
_URL = re.compile(rf"([A-Z]{{1,20}}) (?i:http)://{_AUTHORITY}(?::([0-9]{{1,5}}))?(/[!-~]*)? (HTTP/1\.[01])")
_FOR_US = re.compile(rb"(?i)(?:proxy-[a-z-]+|connection|keep-alive)[ \t]*:")
"""Header fields that are not for the server."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")


class Refused(Exception):
    """`status` and `words` are for the program, `reason` is for the record ("": none)."""

    def __init__(self, status: int, words: str, reason: str = "") -> None:
        super().__init__(words)
        self.status, self.words, self.reason = status, words, reason


def address_of(host: str) -> Address | None:
    """The address that `host` is written as; None for a name."""
    try:
        return ipaddress.ip_address(host[1:-1] if host.startswith("[") else host)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether it is a single host's of the public internet, and no other is meant by it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _PUBLIC_V6 or address.sixtofour or address.teredo:
            return False
    return address.is_global and not address.is_multicast


def is_own(address: Address) -> bool:
    """Whether it is this host's: then it is also where our packets to it come from."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))  # sends nothing
        except OSError:  # there is no way to it
            return False
        return ipaddress.ip_address(probe.getsockname()[0]) == address


class Targets:
    """What may be reached."""

    def __init__(self, words: Iterable[str]) -> None:
        self._listed = {_canonical(*word.rsplit(":", 1)) for word in words}

    def has(self, host: str, port: int) -> bool:
        """Whether the name or address is listed with that port."""
        if (host, port) in self._listed:
            return True
        labels = host.split(".")
        return "" not in labels and any(
            (".".join(("*", *labels[at:])), port) in self._listed for at in range(1, len(labels))
        )

    def may_connect(self, address: Address, port: int) -> bool:
        """Whether a listed name may lead there."""
        return (str(address), port) in self._listed or (is_public(address) and not is_own(address))


def _canonical(host: str, port: str) -> tuple[str, int]:
    return str(address_of(host) or host.lower()), int(port)


class Reporter:
    """What is said of targets, each once."""

    def __init__(self, out: int) -> None:
        self._out = out
        self._said: set[str] = set()
        self._refused = self._uncounted = 0

    def allow(self, target: str) -> None:
        """Raises Refused where no more are recorded."""
        if f"allow {target}" in self._said:
            return
        if len(self._said) - self._refused >= _MOST_ALLOWED:
            raise Refused(403, f"this program has reached {_MOST_ALLOWED} targets already", "too-many")
        self._say(f"allow {target}")

    def deny(self, reason: str, target: str) -> None:
        line = f"deny {reason} {target}"
        if line in self._said:
            return
        if self._refused >= _MOST_REFUSED:
            self._uncounted += 1
            return
        self._refused += 1
        self._say(line)

    def _say(self, line: str) -> None:
        self._said.add(line)
        self.write(line)

    def write(self, line: str) -> None:
        """Returns when it is recorded. It is written in a millisecond or so, and not often."""
        try:
            os.write(self._out, f"{line}\n".encode("ascii"))
            if os.read(self._out, 1) == b".":
                return
        except OSError:  # as at the end of file
            os._exit(1)
        os._exit(1)

    def close(self) -> None:
        if self._uncounted:
            self.write(f"more {self._uncounted}")


class Proxy:
    """Serves one connection of the program after the other, many at once."""

    def __init__(self, targets: Targets, reporter: Reporter) -> None:
        self._targets, self._reporter = targets, reporter
        self._open = 0

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _MOST_CONNECTIONS:
                await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):  # one side is gone, or silent
            return
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        target = "-"
        try:
            head = await _head(reader)
            host, port, onward = _parse(head)
            target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            there = await self._reach(host, port, target)
        except Refused as refused:
            if refused.reason:
                self._reporter.deny(refused.reason, target)
            body = f"enc: {refused.words}\n"
            writer.write(
                f"HTTP/1.1 {refused.status} {refused.words}\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode("ascii")
            )
            await writer.drain()
            return
        try:
            if onward:
                there[1].write(onward)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _join((reader, writer), there)
        finally:
            there[1].close()

    async def _reach(self, host: str, port: int, target: str) -> tuple[StreamReader, StreamWriter]:
        if not self._targets.has(host, port):
            raise Refused(403, f"{target} is not among what run.network lists; ask your sysadmin", "not-listed")
        addresses = await _resolve(host, port)
        if not addresses:
            raise Refused(502, f"{host} has no address", "no-address")
        good = [one for one in addresses if self._targets.may_connect(one, port)]
        if not good:
            raise Refused(403, f"{host} leads to an address that is not public; ask your sysadmin", "private-address")
        self._reporter.allow(target)
        for address in good:
            with contextlib.suppress(OSError):  # TimeoutError is one
                return await asyncio.wait_for(asyncio.open_connection(str(address), port), _CONNECT_SECONDS)
        raise Refused(502, f"{target} does not answer")


async def _head(reader: StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_SECONDS)
    except asyncio.LimitOverrunError:
        raise Refused(431, "the request is too long", "malformed") from None


def _parse(head: bytes) -> tuple[str, int, bytes]:
    """Host (as Targets has it) and port that a request is for, and what to send there first. Raises Refused."""
    line, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    text = line.decode("ascii", "replace")
    if found := _CONNECT.fullmatch(text):
        return *_in_range(found[1], found[2]), b""
    if found := _URL.fullmatch(text):
        method, host, port, path, version = found.groups()
        return *_in_range(host, port or "80"), _for_origin(f"{method} {path or '/'} {version}", fields)
    raise Refused(400, "only CONNECT and http:// are served here", "malformed")


def _in_range(host: str, port: str) -> tuple[str, int]:
    if not 0 < int(port) < 65536:
        raise Refused(400, "that is no port", "malformed")
    return _canonical(host, port)


def _for_origin(line: str, fields: list[bytes]) -> bytes:
    """The request as the server itself gets it, and its only one on that connection: the next may be for another."""
    kept = [one for one in fields if not _FOR_US.match(one)]
    return b"\r\n".join((line.encode("ascii"), *kept, b"Connection: close", b"", b""))


async def _resolve(host: str, port: int) -> list[Address]:
    literal = address_of(host)
    if literal:
        return [literal]
    asked = asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    try:
        found = await asyncio.wait_for(asked, _CONNECT_SECONDS)
    except (OSError, UnicodeError):
        return []
    addresses = (address_of(str(one[4][0]).partition("%")[0]) for one in found)
    return list(dict.fromkeys(one for one in addresses if one))


async def _join(one: tuple[StreamReader, StreamWriter], other: tuple[StreamReader, StreamWriter]) -> None:
    """Copy both ways until both are at their ends, or one is gone."""
    pumps = [asyncio.ensure_future(_pump(one[0], other[1])), asyncio.ensure_future(_pump(other[0], one[1]))]
    try:
        await asyncio.gather(*pumps)
    finally:
        for pump in pumps:
            pump.cancel()


async def _pump(source: StreamReader, sink: StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


async def _run(listener: socket.socket, targets: Targets, reporter: Reporter) -> None:
    """Until standard input ends. Does not return: a name that is being looked up holds nothing up."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, ended.set)
    await asyncio.start_server(Proxy(targets, reporter).serve, sock=listener, limit=_LONGEST_HEAD)
    reporter.write("ready")
    await ended.wait()
    reporter.close()
    os._exit(0)


def main(listener: int, words: list[str]) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))  # the front's is for one that does no more than wait
    asyncio.run(_run(socket.socket(fileno=listener), Targets(words), Reporter(1)))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
