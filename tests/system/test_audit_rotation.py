"""`enc-gateway audit rotate` under a gateway that is in use."""

from __future__ import annotations

import json
from collections.abc import Callable

from gateway.audit.log import AuditLog
from tests.harness import Gateway, Result, bindir, run


def audit(gateway: Gateway, *words: str) -> Result:
    return run([str(bindir() / "enc-gateway"), "audit", *words])


def test_a_live_session_goes_on_in_the_new_log(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"audit.rotate": "1", "audit.keep": "1"})
    settings = ("--config", str(gateway.root / "gateway.toml"))
    path = str(gateway.ready["audit"])
    person = gateway.person("dev")
    person.new("p")
    with person.mounted("p") as held:
        assert audit(gateway, "rotate", "--due", *settings).out == "nothing to rotate\n"
        log = AuditLog(path, filler="x" * 900)
        for _ in range(1200):
            log.write("request")
        closed = json.loads(audit(gateway, "rotate", "--due", "--json", *settings).out)["closed"]
        assert closed.startswith(f"{path}.")
        assert person.ssh("unmount", "p").status == 0
        held.wait()
    first, *rest = gateway.audit()
    assert first["event"] == "rotated" and first["dropped"] == 0
    assert "locked" in [record["event"] for record in rest]
    verified = json.loads(audit(gateway, "verify", "--json", "--file", path).out)
    assert (verified["findings"], verified["first"]) == ([], 1)
    audit(gateway, "rotate", *settings)
    result = audit(gateway, "verify", "--file", path)
    assert result.status == 0 and f"lines from number {first['seq']} on, no findings" in result.out
    assert person.ssh("ls").status == 0
