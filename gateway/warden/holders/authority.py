"""Who may do what in a session.

One with a single principal's projects is that principal's. In a shared one, whoever holds the project acts in the role
of their hold; the owner, holding it or not, can end it for all.
"""

from __future__ import annotations

from gateway.errors import Denied, NotUnlocked
from gateway.sandbox.paths import PROJECTS, Shown
from gateway.session import protocol, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.session.protocol import Request
    from gateway.session.spec import Home
    from gateway.warden.holders.holder import Holder

_FOR_ALL = (protocol.LockForAll, protocol.CloseForAll)
_UNHELD = (*_FOR_ALL, protocol.Ask, protocol.Join, protocol.Expel)
"""What needs no hold. `Join` makes one: its front has proven a secret."""


class Authority:
    """`holders()` are those who hold the session now."""

    def __init__(self, home: Home, holders: Callable[[], Iterable[Holder]]) -> None:
        self._home = home
        self._holders = holders

    def require(self, request: Request) -> None:
        """Raise Denied or NotUnlocked for what the caller may not ask."""
        is_owner = request.principal == self._home.owner
        if not self._home.shared:
            if not is_owner or isinstance(request, protocol.Expel):
                raise Denied("this session is not yours")
            return
        if isinstance(request, (protocol.Unlock, protocol.Hold, protocol.Keep)):
            raise Denied("this session is for one project alone")
        if not request.blob:  # the sysadmin
            return
        if isinstance(request, _UNHELD):
            if isinstance(request, _FOR_ALL) and not is_owner:
                raise Denied("only its owner locks it for all", "without --all, you leave it")
            if isinstance(request, protocol.Expel) and not (is_owner or request.member == request.principal):
                raise Denied("only its owner ends somebody else's hold")
            if isinstance(request, protocol.Ask) and not (is_owner or self._role(request)):
                raise Denied("this session is not yours")
            return
        if not self._role(request):
            who = ", ".join(dict.fromkeys(one.who.principal for one in self._holders()))
            raise NotUnlocked(f"only {who} unlocked it", "mount it yourself first" + " (--all locks it)" * is_owner)

    def _role(self, request: Request) -> str:
        return next((one.who.role for one in self._holders() if one.who.principal == request.principal), "")

    def shown(self, request: Request) -> Shown:
        """How the caller's programs see the project."""
        if not self._home.shared or request.principal == self._home.owner:
            return Shown(directory=PROJECTS, read_only=False)
        read_only = self._role(request) not in (registry.OWNER, registry.WRITER)
        return Shown(directory=f"{PROJECTS}/{self._home.owner.word}", read_only=read_only)
