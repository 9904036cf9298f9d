"""`enc-gateway audit rotate` under a gateway that is in use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from gateway.audit.log import AuditLog
from tests.harness import Gateway, Result, admin, bindir, run
from tests.watching import opened_in


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


def test_what_looks_every_minute_opens_no_closed_log_again(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    person = gateway.person("dev")
    path = Path(str(gateway.ready["audit"]))
    for _ in range(3):
        assert person.ssh("nonsense").status == 127
        assert admin(gateway, "audit", "rotate").status == 0
    closed = {one.name for one in path.parent.glob("audit.jsonl.?????*") if one.suffix != ".sum"} - {"audit.jsonl.head"}
    assert {one.stat().st_uid for one in path.parent.iterdir()} == {path.stat().st_uid}
    with opened_in(path.parent) as names:
        first = admin(gateway, "metrics").out
        assert 'enc_refusals_total{reason="unknown-command"} 3' in first
        doctor = admin(gateway, "doctor").out
        quick = admin(gateway, "audit", "verify", "--quick", "--json").json
        assert not names() & closed
        full = admin(gateway, "audit", "verify", "--json").json
        assert names() >= closed
    assert f"{full['lines']} lines, no gap in the chain; {quick['unread']} of them in closed logs, as noted" in doctor
    assert quick == {**full, "unread": quick["unread"]} and full["unread"] == 0
    assert person.ssh("ls").status == 0
    with opened_in(path.parent) as names:
        after = admin(gateway, "audit", "verify", "--after", f"{full['last']}:{full['head']}")
        assert (after.status, after.out.split(" ")[0]) == (0, "3")
        assert not names() & closed
    for words in (["--after", "7"], ["--after", "7:ab"], ["--after", f"{full['last']}:{full['head']}", "--quick"]):
        assert admin(gateway, "audit", "verify", *words).status == 64
    elsewhere = admin(gateway, "audit", "verify", "--after", f"{full['last']}:{'0' * 64}", "--json")
    assert elsewhere.status == 1 and len(elsewhere.json["findings"]) == 1  # type: ignore[arg-type]
    for log in closed:
        (path.parent / f"{log}.sum").write_text("{}")
    assert 'enc_refusals_total{reason="unknown-command"} 3' in admin(gateway, "metrics").out
    assert admin(gateway, "audit", "rotate", "--due").out == "nothing to rotate\n"
    assert {json.loads((path.parent / f"{log}.sum").read_text())["version"] for log in closed} == {1}
