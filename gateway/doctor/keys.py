"""Check authorized_keys by the rules of `key lint`."""

from __future__ import annotations

import time

from gateway.base import text
from gateway.cluster import places
from gateway.doctor.cluster import lost
from gateway.doctor.finding import Finding, Target, fail, ok, warn
from gateway.embedded import layout
from gateway.errors import Misconfigured, is_storage_lost
from gateway.identity import authorized_keys, lint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FIX = "correct or remove the line"


def check(target: Target) -> Iterator[Finding]:
    """Each error is a finding. Warnings are only counted: such lines work, and somebody may have wanted them."""
    path = places.keys(target.config)
    try:
        entries = authorized_keys.load(path)
        found = lint.examine(path, time.time(), layout.judged_up_to(target.config.paths_authorized_keys))
    except (Misconfigured, OSError) as error:
        fault = error if isinstance(error, OSError) else error.__cause__
        if isinstance(fault, OSError) and is_storage_lost(fault):
            yield lost.finding("keys", target.config, path, fault.errno or 0)
            return
        yield fail("keys", str(error), "make it readable: until then nobody can log in, and live sessions end")
        return
    errors = [one for one in found if one.level is lint.Level.ERROR]
    for one in errors:
        yield fail("keys", one.located(path), one.fix or _FIX)
    warnings = len(found) - len(errors)
    if not entries:
        yield warn(
            "keys", f"{path} has no key: nobody can log in", "enc-gateway key invite NAME, or enc-gateway key add"
        )
    else:
        more = f", all work; {text.counted(warnings, 'remark')} of `enc-gateway key lint`" if warnings else ""
        yield ok("keys", f"{text.counted(len(entries), 'line')}{more if not errors else ''}")
