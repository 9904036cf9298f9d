"""What every message between a front and a warden has (gateway.session.protocol has the messages)."""

from __future__ import annotations

import os

from gateway.base import codec
from gateway.base.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from gateway.identity.names import Principal


class Message(Record):
    """Base of all messages; the class's name is its `kind`.

    Whoever received a message owns its descriptors, and closes them by leaving its context: what needs one for longer
    has a copy. Of one that is sent they are the sender's as before.
    """

    def close(self) -> None:
        for fd in codec.descriptors(self):
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Request(Message):
    """What a front asks, and for whom: `origin` is the caller's address and port, `fingerprint` and `blob` (base64) are
    the key that sshd authenticated. The sysadmin has none, and can only ask and close.
    """

    principal: Principal
    origin: str
    fingerprint: str = ""
    blob: str = ""

    needs_key = True
