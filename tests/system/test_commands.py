"""Each command of the restricted shell, with a stock client."""

from __future__ import annotations

import json
import re

import pytest

from rshell.language.verbs import VERBS
from tests.harness import PASSPHRASE, Gateway, Person, Result, eventually
from tests.life import connection

UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def row(result: Result, first: str) -> str:
    """The line of a table that starts with `first`."""
    return next(line for line in result.out.splitlines() if line.startswith(first))


def listed(person: Person) -> dict[str, dict[str, object]]:
    """`ls --json`, by project."""
    projects = person.ssh("ls", "--json").json["projects"]
    assert isinstance(projects, list)
    return {project["name"]: project for project in projects}


def test_whoami_says_principal_key_label_address_and_sessions(gateway: Gateway, person: Person) -> None:
    named = gateway.person(f"{person.name}-named", principal=f"dev-{person.name}")
    result = named.ssh("whoami")
    assert (result.status, result.err) == (0, "")
    assert row(result, "principal").split()[1] == f"dev-{person.name}"
    assert row(result, "key").split()[1:] == [named.fingerprint, "(ssh-ed25519)"]
    assert row(result, "label").split()[1] == f"{named.name}@test"
    assert re.fullmatch(r"from +127\.0\.0\.1 port \d+", row(result, "from"))
    assert row(result, "sessions").split()[1] == "none"


def test_whoami_without_enc_user_is_the_fingerprint(person: Person, project: str) -> None:
    with person.mounted(project):
        who = person.ssh("whoami", "--json").json
    assert who["principal"] == who["fingerprint"] == person.fingerprint
    assert (who["key_type"], who["address"], who["label"]) == ("ssh-ed25519", "127.0.0.1", f"{person.name}@test")
    assert isinstance(who["port"], int)
    assert isinstance(who["sessions"], list) and len(who["sessions"]) == 1


def test_new_asks_twice_without_echo_and_says_the_minimum_before(person: Person) -> None:
    terminal = person.terminal("new", "typed")
    assert "at least 12 characters" in terminal.expect("New passphrase: ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect("again: ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect("created typed")
    assert terminal.wait() == 0
    assert PASSPHRASE not in terminal.seen
    with person.mounted("typed"):
        assert listed(person)["typed"]["state"] == "unlocked"


def test_new_refuses_two_that_differ(person: Person) -> None:
    terminal = person.terminal("new", "typed")
    terminal.expect("New passphrase: ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect("again: ")
    terminal.send(PASSPHRASE + "!\n")
    terminal.expect("differ")
    assert terminal.wait() == 64
    assert PASSPHRASE not in terminal.seen
    assert not listed(person)


def test_new_refuses_a_short_passphrase_unless_told_to_allow_it(person: Person) -> None:
    refused = person.ssh("new", "weak", stdin="elevenchars\n")
    assert refused.status == 64
    assert "fewer than 12 characters" in refused.err and "--allow-weak" in refused.err
    assert "elevenchars" not in refused.out + refused.err
    assert not listed(person)
    assert person.ssh("new", "weak", "--allow-weak", stdin="elevenchars\n").status == 0
    assert person.ssh("new", "twelve", stdin="twelve chars\n").status == 0
    assert set(listed(person)) == {"weak", "twelve"}


def test_the_minimum_counts_characters_and_not_bytes(person: Person) -> None:
    assert person.ssh("new", "short", stdin="éééééééééé\n").status == 64
    assert person.ssh("new", "long", stdin="éééééééééééé\n").status == 0


def test_new_without_a_terminal_reads_one_line_and_says_that_it_is_visible(person: Person) -> None:
    result = person.ssh("new", "piped", "--json", stdin=PASSPHRASE + "\nmore\n")
    assert (result.status, result.json) == (0, {"project": "piped", "created": True, "kinds": ["passphrase"]})
    assert "visible" in result.err and "ssh -t" in result.err


@pytest.mark.parametrize("stdin", ["", "\n", "x" * 3000 + "\n"], ids=["none", "an empty line", "an endless line"])
def test_new_creates_nothing_without_a_usable_passphrase(person: Person, stdin: str) -> None:
    result = person.ssh("new", "nothing", "--allow-weak", stdin=stdin)
    assert result.status == 64
    assert not listed(person)


def test_new_refuses_a_name_that_is_taken(person: Person, project: str) -> None:
    result = person.ssh("new", project, stdin=PASSPHRASE + "\n")
    assert result.status == 73
    assert result.err == f"enc: you already have a project {project}\n"


def test_ls_shows_state_size_and_last_use(person: Person, project: str) -> None:
    before = listed(person)[project]
    assert before["state"] == "locked"
    assert isinstance(before["size"], int) and before["size"] > 0 and before["size_complete"] is True
    assert UTC.fullmatch(str(before["last_used"]))
    with person.mounted(project):
        assert row(person.ssh("ls"), project).split()[1] == "unlocked"
        during = listed(person)[project]
    assert during["state"] == "unlocked"
    assert str(during["last_used"]) >= str(before["last_used"])
    eventually(lambda: listed(person)[project]["state"] == "locked")
    assert re.fullmatch(rf"{project} +locked +[\d.]+ [KMG]iB +{UTC.pattern}", row(person.ssh("ls"), project))


def test_ls_says_how_to_start_when_there_is_nothing(person: Person) -> None:
    assert "new" in person.ssh("ls").out
    assert person.ssh("ls", "--json").json == {"projects": []}


def test_mount_in_a_terminal_asks_without_echo_and_ctrl_c_locks(person: Person, project: str) -> None:
    terminal = person.terminal("mount", project)
    terminal.expect(f"Passphrase of {project}: ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect(f"unlocked {project}")
    assert person.sftp(f"ls {project}").status == 0
    terminal.send("\x03")
    terminal.expect(f"locked {project}")
    assert terminal.wait() == 0
    assert PASSPHRASE not in terminal.seen
    assert person.ssh("status", "--json").json == {"sessions": []}


def test_closing_the_window_locks(person: Person, project: str) -> None:
    terminal = person.terminal("mount", project)
    terminal.expect(": ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect(f"unlocked {project}")
    terminal.close()
    eventually(lambda: person.ssh("status", "--json").json == {"sessions": []})


def test_mount_from_a_pipe_holds_although_standard_input_ended(person: Person, project: str) -> None:
    with person.mounted(project) as held:
        assert person.sftp(f"ls {project}").status == 0
        assert held.process.poll() is None
    eventually(lambda: listed(person)[project]["state"] == "locked")


def test_mount_json_prints_one_event_a_line(person: Person, project: str) -> None:
    with person.mounted(project, flags=("--json",)) as held:
        sessions = person.ssh("whoami", "--json").json["sessions"]
        assert person.ssh("unmount", project).status == 0
        result = held.wait()
    assert result.status == 0
    events = [json.loads(line) for line in result.out.splitlines()]
    assert [(event["event"], event["project"]) for event in events] == [("unlocked", project), ("locked", project)]
    assert events[1]["reason"] == "unmount"
    assert sessions == [events[0]["session"]] == [events[1]["session"]]
    assert all(UTC.fullmatch(event["time"]) for event in events)


def test_mount_json_reports_a_failure_as_an_object(person: Person, project: str) -> None:
    result = person.ssh("mount", project, "--json", stdin="not the passphrase\n")
    assert result.status == 77
    assert (result.json["error"], result.json["exit"]) == ("wrong-secret", 77)


def test_status_says_who_from_where_since_when_and_what(person: Person, project: str) -> None:
    assert person.ssh("status").out == "no sessions; nothing is unlocked\n"
    with person.mounted(project):
        text = person.ssh("status")
        sessions = person.ssh("status", "--json").json["sessions"]
    assert isinstance(sessions, list)
    (session,) = sessions
    assert (session["principal"], session["fingerprint"]) == (person.fingerprint, person.fingerprint)
    assert (session["address"], session["anchor"]) == ("127.0.0.1", "mount")
    assert [view["project"] for view in session["views"]] == [project]
    assert UTC.fullmatch(session["since"]) and UTC.fullmatch(session["views"][0]["since"])
    assert all(word in text.out for word in (session["id"], person.fingerprint, "127.0.0.1", session["since"], project))


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_unmount_locks_before_it_returns(person: Person, project: str, flags: tuple[str, ...]) -> None:
    with person.mounted(project) as held:
        result = person.ssh("unmount", project, *flags)
        assert listed(person)[project]["state"] == "locked"
        assert held.wait().status == 0
    assert result.status == 0
    if flags:
        assert result.json == {"project": project, "state": "locked"}
    else:
        assert result.out == f"locked {project}\n"


def test_unmount_of_what_is_locked_is_69(person: Person, project: str) -> None:
    result = person.ssh("unmount", project)
    assert result.status == 69
    assert result.err == f"enc: {project} is not unlocked; `mount {project}` unlocks it\n"


def trash(gateway: Gateway) -> set[str]:
    return {path.name.rsplit("-", 2)[0] for path in gateway.vaults.glob("*/.trash/*")}


def test_rm_asks_for_the_name_and_moves_to_the_trash(gateway: Gateway, person: Person) -> None:
    name = f"goes-{person.name}"
    person.new(name)
    for wrong in ("", "\n", "goes\n", f"{name} \n"):
        assert person.ssh("rm", name, stdin=wrong).status == 64
        assert name in listed(person)
    terminal = person.terminal("rm", name)
    terminal.expect(f"Type {name} again to remove it: ")
    terminal.send(name + "\n")
    terminal.expect(f"removed {name}")
    assert terminal.wait() == 0
    assert name not in listed(person)
    assert name in trash(gateway)


def test_rm_with_yes_asks_nothing(gateway: Gateway, person: Person) -> None:
    name = f"yes-{person.name}"
    person.new(name)
    assert person.ssh("rm", name, "--yes", "--json").json == {"project": name, "removed": True}
    assert name in trash(gateway)
    person.new(name)
    assert person.ssh("rm", name, stdin=f"{name}\n").status == 0


def test_rm_is_refused_while_unlocked(person: Person, project: str) -> None:
    with person.mounted(project):
        result = person.ssh("rm", project, "--yes")
        assert result.status == 75
        assert result.err.startswith(f"enc: {project} is unlocked already by session s-")
        assert listed(person)[project]["state"] == "unlocked"


def test_help_lists_every_command_with_a_summary(person: Person) -> None:
    result = person.ssh("help")
    assert (result.status, result.err) == (0, "")
    for verb in VERBS.values():
        assert row(result, verb.usage).endswith(verb.summary)
    assert person.ssh("help", "--help").status == 0


def test_help_of_a_command_is_the_same_in_both_spellings(person: Person) -> None:
    with connection(person) as shared:
        for name, verb in VERBS.items():
            result = person.ssh("help", name, extra=shared)
            assert (result.status, result.err) == (0, "")
            assert result.out.startswith(f"usage: {verb.usage}\n{verb.summary}\n"), name
            if name != "help":
                assert person.ssh(name, "--help", extra=shared) == result


@pytest.mark.parametrize(
    "line",
    [
        "whoami extra",
        "ls a",
        "new",
        "new a b",
        "mount",
        "mount --yes a",
        "rm --force a",
        "help nonsense",
        "help a b",
        "status --JSON",
    ],
)
def test_words_that_do_not_fit_are_64_with_the_usage(person: Person, line: str) -> None:
    result = person.ssh(line)
    assert result.status == 64
    assert result.out == ""
    assert re.fullmatch(r"enc: [^\n]+; (usage: |`help`)[^\n]+\n", result.err)


def test_a_login_without_terminal_and_command_is_told_what_to_do(person: Person) -> None:
    result = person.ssh(extra=("-T",))
    assert result.status == 64
    assert "help" in result.err and result.err.count("\n") == 1


def test_several_people_do_not_see_each_other(gateway: Gateway, person: Person, project: str) -> None:
    other = gateway.person(f"{person.name}-other")
    with person.mounted(project):
        assert other.ssh("ls", "--json").json == {"projects": []}
        assert other.ssh("status", "--json").json == {"sessions": []}
        assert other.ssh("whoami", "--json").json["sessions"] == []
