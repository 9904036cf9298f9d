"""What a sysadmin sees: sessions, vaults, the audit's tables, its report in a real browser, and metrics."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.audit import query
from tests.harness import Gateway, Person, admin, bindir, eventually, need, run
from tests.life import session, unlock


def shown(gateway: Gateway, *words: str) -> list[dict[str, object]]:
    """`audit show --json`: the records."""
    result = admin(gateway, "audit", "show", "--json", *words)
    assert result.status == 0, result
    records = result.json["records"]
    assert isinstance(records, list)
    return records


def test_sessions_say_who_where_and_for_how_long_still(person: Person, gateway: Gateway) -> None:
    person.new("work")
    person.new("play")
    with session(person) as (_, shared):
        unlock(person, "work", shared)
        unlock(person, "play", shared)
        result = admin(gateway, "sessions", "--json")
        (mine,) = [one for one in json.loads(result.out)["sessions"] if one["fingerprint"] == person.fingerprint]
        assert mine["label"] == f"{person.name}@test" and mine["address"] == "127.0.0.1"
        assert mine["last_activity"] == "command" and 500 < mine["locks_in"] <= 600
        assert [(view["project"], view["locks_in"] > 500) for view in mine["views"]] == [("work", True), ("play", True)]
        table = admin(gateway, "sessions").out
        line = next(line for line in table.splitlines() if mine["id"] in line)
        assert f"{person.name}@test" in line and "work (" in line and "play (" in line
        assert table.startswith("SESSION")
    eventually(lambda: mine["id"] not in admin(gateway, "sessions").out)


def test_sessions_are_watched_until_interrupted(person: Person, gateway: Gateway) -> None:
    words = [str(bindir() / "enc-gateway"), "sessions", "--watch", "--json", "--config"]
    with subprocess.Popen([*words, str(gateway.root / "gateway.toml")], stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout
        try:
            assert person.fingerprint not in watching.stdout.readline()
            with session(person):
                while person.fingerprint not in (line := watching.stdout.readline()):
                    assert line
        finally:
            watching.send_signal(2)
        assert watching.wait(10) == 0


def test_vaults_show_everybody_s_projects_and_those_that_nobody_owns(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    red, gone = gateway.person("red", "red"), gateway.person("gone")
    for who, project in ((red, "one"), (red, "two"), (red, "three"), (gone, "lost")):
        who.new(project)
    shutil.rmtree(gateway.vaults / "u-red" / "two" / "slots")
    with red.mounted("three"):
        lines = gateway.authorized_keys.read_text().splitlines(keepends=True)
        gateway.authorized_keys.write_text("".join(line for line in lines if "gone@" not in line))
        found = json.loads(admin(gateway, "vaults", "--json").out)["vaults"]
    of = {(one["principal"], one["project"]): one for one in found}
    assert {(project, one["state"], one["ownerless"]) for (_, project), one in of.items()} == {
        ("one", "locked", False),
        ("two", "damaged", False),
        ("three", "unlocked", False),
        ("lost", "locked", True),
    }
    one = of["red", "one"]
    assert one["slots"] == ["passphrase (passphrase)"] and one["owner"] == red.fingerprint and one["size"] > 0
    assert "two is damaged" in of["red", "two"]["problem"]
    assert admin(gateway, "vaults", "--ownerless").out.count("\n") == 2
    assert "no key has this principal" in admin(gateway, "vaults").out


@pytest.fixture(scope="module")
def busy(ground: Path) -> Iterator[Gateway]:
    """A gateway whose audit log has events of every kind."""
    gateway = Gateway(ground / "gw").start()
    try:
        red, blue = gateway.person("red", "red"), gateway.person("blue")
        red.new("work")
        blue.new("play")
        with red.mounted("work"):
            assert blue.ssh("mount", "play", stdin="a wrong passphrase\n").status == 77
        with session(blue) as (held, shared):
            unlock(blue, "play", shared)
            blue.ssh("logout", extra=shared)
            held.wait()
        assert red.ssh("ls; id").status == 127
        assert admin(gateway, "key", "invite", "red").status == 0
        eventually(lambda: len(gateway.events("session-closed")) == 2)
        yield gateway
    finally:
        gateway.stop()


@pytest.mark.parametrize(
    ("words", "events"),
    [
        pytest.param(("--outcome", "refused"), {"request"}, id="what was refused"),
        pytest.param(
            ("--outcome", "failed", "--verb", "mount"), {"result", "unlock-failed"}, id="what failed of a verb"
        ),
        pytest.param(("--project", "play", "--principal", "red"), set(), id="all at once"),
        pytest.param(
            ("--since", "1h", "--project", "work", "--principal", "red", "--outcome", "allowed"),
            {"request"},
            id="since",
        ),
        pytest.param(("--until", "1h"), set(), id="until"),
        pytest.param(("--until", "2099-01-01", "--since", "2099-01-01T00:00Z"), set(), id="no time at all"),
    ],
)
def test_the_audit_is_filtered(busy: Gateway, words: tuple[str, ...], events: set[str]) -> None:
    assert {record["event"] for record in shown(busy, *words)} == events


def test_the_audit_is_filtered_by_key_and_its_table_is_the_same(busy: Gateway) -> None:
    (invited,) = shown(busy, "--key", str(busy.events("invited")[0]["invite"])[:20])
    assert invited["event"] == "invited" and invited["principal"] == "red" and invited["by"]
    records = shown(busy)
    assert len(records) == len(busy.audit())
    table = admin(busy, "audit", "show").out.splitlines()
    assert len(table) == len(records) + 1 and any(row.endswith("  unlocked play") for row in table)
    assert admin(busy, "audit", "show", "--outcome", "odd").status == 64
    assert admin(busy, "audit", "show", "--since", "odd").status == 64


# The report


CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")


def browser(*words: str) -> str:
    """The output of Chromium with these arguments and a fresh profile."""
    program = shutil.which("chromium")
    need(program is not None, "chromium is not installed", but_not_on="ubuntu")  # which has it as a snap
    with tempfile.TemporaryDirectory() as profile:
        argv = [str(program), *CHROMIUM, *QUIET, f"--user-data-dir={profile}", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=90).stdout


def test_the_report_is_seen_in_a_browser(busy: Gateway, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = admin(busy, "audit", "report", str(page), "--json")
    assert result.status == 0 and result.json["sessions"] == 2
    picture = tmp_path / "report.png"
    dom = browser("--dump-dom", f"--screenshot={picture}", "--window-size=1200,1600", page.as_uri())
    assert picture.stat().st_size > 20_000
    text = re.sub(r"<[^>]*>", " ", dom)
    for said in ("Sessions over time", "Logins by key", "Refused", "Why projects were locked"):
        assert said in text
    assert f"ENC gateway {socket.gethostname()}" in text and "The log was verified: " in text
    assert dom.count('<rect class="session"') == 2 and dom.count('<rect class="view"') == 2
    rows = [re.sub(r"<[^>]*>", " ", row) for row in dom.split("<tr>")]
    locks = {" ".join(row.split()) for row in rows if row.lstrip().startswith(("The connection", "The user"))}
    assert {"The connection ended 1", "The user logged out 1"} == {lock.partition(" Sessions")[0] for lock in locks}
    (refused,) = [row for row in rows if "no such command" in row]
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +red +127\.0\.0\.1 +\(no command\) +no such command", refused)
    assert sum("could not unlock play: wrong passphrase" in row for row in rows) == 1
    assert "invitation made" in text and "<strong>1</strong> refused" in dom
    assert page.stat().st_mode & 0o777 == 0o644 and not list(tmp_path.glob(".*"))


MEASURE = """
const page = document.querySelector("iframe").contentDocument, root = page.documentElement, sizes = [];
const walk = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
for (let node; node = walk.nextNode();) {
    if (!node.textContent.trim() || node.parentElement.closest("title")) continue;
    const svg = node.parentElement.closest("svg"), scale = svg ? svg.getBoundingClientRect().width / 1000 : 1;
    sizes.push(parseFloat(page.defaultView.getComputedStyle(node.parentElement).fontSize) * scale);
}
const links = [...page.querySelectorAll("a")].map(link => link.getAttribute("href").slice(1));
const [red, green, blue] = page.defaultView.getComputedStyle(page.body).backgroundColor.match(/[0-9]+/g).map(Number);
const timeline = page.querySelector("figure.scroll");
document.body.innerText = "FACTS" + JSON.stringify({
    overflow: root.scrollWidth - root.clientWidth, smallest: Math.min(...sizes), links: links.length,
    dead: links.filter(id => !page.getElementById(id)).length, light: (red + green + blue) / 3,
    scrolls: timeline.scrollWidth - timeline.clientWidth, wide: [...page.querySelectorAll("div.scroll")].filter(
        one => one.scrollWidth > one.clientWidth).length}) + "FACTS";
"""


def layout(page: Path, width: int, *flags: str) -> dict[str, float]:
    """What Chromium makes of the report in a frame of that width: a frame, for the page itself runs no script."""
    frame = f'<iframe width="{width}" height="900" style="border:0" srcdoc="{html.escape(page.read_text())}"></iframe>'
    around = page.with_name(f"around-{width}.html")
    around.write_text(f"<!DOCTYPE html><body>{frame}<script>onload = () => {{ {MEASURE} }}</script></body>")
    found: dict[str, float] = json.loads(browser("--dump-dom", *flags, around.as_uri()).split("FACTS")[-2])
    return found


def test_the_report_can_be_read_on_a_phone_and_in_the_dark(busy: Gateway, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert admin(busy, "audit", "report", str(page)).status == 0
    narrow, wide = layout(page, 420), layout(page, 1200)
    for found in (narrow, wide):
        assert found["overflow"] <= 0, "nothing but the timeline scrolls sideways"
        assert found["smallest"] >= 12, found
        assert found["links"] >= 2 and found["dead"] == 0, "sessions and what happened in them"
    assert narrow["scrolls"] > 100 and wide["scrolls"] <= 0
    assert narrow["wide"] == 0, "there each row is a card"
    assert wide["light"] > 200
    assert layout(page, 420, "--blink-settings=preferredColorScheme=0")["light"] < 60


HOSTILE = [
    "<script>document.title='pwned'</script>",
    '"><img src=x onerror="document.title=\'pwned\'">',
    "&amp;'--></svg>",
]


def test_what_users_wrote_is_text_in_the_report(tmp_path: Path) -> None:
    log, page = tmp_path / "log", tmp_path / "report.html"
    common = {
        "fingerprint": HOSTILE[0],
        "address": HOSTILE[1],
        "session": HOSTILE[2],
        "project": HOSTILE[0],
        "prev": "",
    }
    records = [
        {
            "seq": number,
            "time": f"2026-11-25T12:0{number}:00.000Z",
            "event": event,
            "principal": HOSTILE[number % 3],
            **common,
        }
        for number, event in enumerate(("session-opened", "unlocked", "fault", "created", "request"))
    ]
    records[-1].update(decision="deny", reason=HOSTILE[1], verb=HOSTILE[2])
    log.write_text(
        "".join(json.dumps(record) + "\n" for record in [*records, {"seq": 9, "time": "x", "event": "locked"}][:-1])
    )
    done = run([str(bindir() / "enc-gateway"), "audit", "report", str(page), "--file", str(log)])
    assert done.status == 0, done
    dom = browser("--dump-dom", "--virtual-time-budget=2000", page.as_uri())
    assert "<title>ENC gateway " in dom and "The log was NOT verified" in dom
    assert "<script" not in dom and "<img" not in dom
    for text in HOSTILE:
        assert dom.count(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")) >= 1
    assert "http" not in re.sub(r"http-equiv|<svg[^>]*>", "", page.read_text()), "it loads nothing"


def test_an_empty_log_makes_a_page_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    page = tmp_path / "report.html"
    assert (
        run([str(bindir() / "enc-gateway"), "audit", "report", str(page), "--file", str(tmp_path / "log")]).status == 0
    )
    assert "There were no sessions." in page.read_text() and "<svg" not in page.read_text()


def test_times_are_utc() -> None:
    assert query.timestamp("1970-01-02T00:00:01.500Z") == 86401


# Metrics


def families(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Metrics as Prometheus parses them."""
    return {
        family.name: {tuple(sorted(sample.labels.items())): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


def test_metrics_are_what_prometheus_reads(busy: Gateway, tmp_path: Path) -> None:
    red = Person(busy, "red", busy.root.parent / "key-red")
    with red.mounted("work"):
        target = tmp_path / "enc.prom"
        assert admin(busy, "metrics", "--textfile", str(target)).status == 0
    found = families(target.read_text())
    assert found["enc_sessions"] == {(): 1} and found["enc_views"] == {(): 1}
    states = {"locked": 1, "unlocked": 1, "damaged": 0, "unreadable": 0}
    assert found["enc_vaults"] == {(("state", state),): number for state, number in states.items()}
    assert found["enc_keys"] == {(): 2} and found["enc_vaults_ownerless"] == {(): 0}
    assert found["enc_unlock_failures"][(("reason", "wrong-secret"),)] == 1
    assert found["enc_refusals"][(("reason", "unknown-command"),)] == 1
    assert found["enc_locks"][(("reason", "logout"),)] == 1
    assert abs(found["enc_audit_newest_seconds"][()] - time.time()) < 120
    assert [path.name for path in tmp_path.iterdir()] == ["enc.prom"], "it was put there whole"
    assert target.stat().st_mode & 0o777 == 0o644
    printed = families(admin(busy, "metrics").out)
    assert printed.keys() == found.keys()
    assert "red" not in target.read_text().replace("shared", ""), "nobody's name is a label"


def test_looking_as_root_leaves_the_account_its_files(make_gateway: Callable[..., Gateway]) -> None:
    need(os.geteuid() == 0, "not root")
    gateway = make_gateway()
    for words in (
        ("sessions",),
        ("vaults",),
        ("metrics",),
        ("audit", "show"),
        ("key", "invites"),
        ("key", "invite", "a"),
    ):
        assert admin(gateway, *words).status == 0, words
    mine = {str(path) for path in gateway.root.rglob("*") if path.stat().st_uid == 0}
    below = [str(gateway.root / name) for name in ("audit", "run", "vaults", "enrolments")]
    assert not [path for path in mine if path.startswith(tuple(below))]
    assert gateway.person("first").ssh("ls").status == 0


# Long logs


SESSIONS = 12_000


def long_log(path: Path) -> None:
    """Write the log of ended sessions of many keys, each with an unlocked project, a refusal and a failure."""
    with path.open("w") as file:
        for number in range(SESSIONS):
            of = {
                "principal": f"p{number % 2000}",
                "fingerprint": f"SHA256:{number % 2000}",
                "address": "10.0.0.1",
                "port": number % 60000,
                "session": f"s-{number:012x}",
            }
            for event, more in (
                ("request", {"decision": "allow", "verb": "mount", "request": f"r{number}"}),
                ("session-opened", {}),
                ("unlocked", {"project": "work"}),
                ("unlock-failed", {"project": "play", "reason": "wrong-secret"}),
                ("request", {"decision": "deny", "reason": "unknown-command"}),
                ("locked", {"project": "work", "reason": "hangup"}),
                ("session-closed", {"reason": "hangup"}),
            ):
                moment = f"2026-11-{1 + number // 1000:02}T00:00:00.000Z"
                file.write(json.dumps({"seq": 1, "time": moment, "event": event, **of, **more, "prev": ""}) + "\n")


def peak(gateway: Gateway, *words: str) -> int:
    """Peak memory of `enc-gateway WORDS`, in KiB."""
    argv = [str(bindir() / "enc-gateway"), *words, "--config", str(gateway.root / "gateway.toml")]
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_RDWR, 0)])
    _, status, used = os.wait4(pid, 0)
    assert status == 0
    return used.ru_maxrss


def test_a_long_log_takes_no_more_memory_and_makes_no_longer_page(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway, page = make_gateway(), tmp_path / "report.html"
    gateway.person("one").ssh("ls")
    before = {words: peak(gateway, *words) for words in (("metrics",), ("audit", "report", str(page)))}
    rotated = gateway.root / "audit" / f"audit.jsonl.{7 * SESSIONS:012}"
    long_log(rotated)
    for words, small in before.items():
        assert peak(gateway, *words) < small + 16 * 1024, words
    counted = families(admin(gateway, "metrics").out)
    assert counted["enc_requests"][(("decision", "deny"),)] == SESSIONS, "what was rotated away counts"
    assert counted["enc_locks"][(("reason", "hangup"),)] == SESSIONS
    text = page.read_text()
    assert len(text) < 2_000_000
    assert f"<strong>{SESSIONS}</strong> sessions" in text and "<strong>0</strong> still open" in text
    assert f"Sessions (the newest 500 of {SESSIONS})" in text and f"Failures (the newest 500 of {SESSIONS})" in text
    assert "Logins by key (the most frequent 500 of 200" in text and "How often (the most frequent 500 of 2000)" in text
    assert f"The 300 newest; {SESSIONS - 300} earlier ones are not drawn." in text
    assert f"s-{SESSIONS - 1:012x}" in text and f"s-{SESSIONS - 501:012x}" not in text
