"""What a sysadmin meets first: `enc-gateway` at a terminal and in a pipe, its errors, keys by name, pause, and that a
wrong gateway.toml takes none of it away.
"""

from __future__ import annotations

import base64
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, Terminal, admin, bindir, eventually, run
from tests.life import session, unlock

COLUMNS = 80
LONG = "somebody-with-a-long-name"
RFC_3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


def at_terminal(gateway: Gateway, *words: str, typed: str = "") -> tuple[int, str]:
    """Status and output of `enc-gateway WORDS` in a terminal of 80 columns."""
    argv = [str(bindir() / "enc-gateway"), *words, "--config", str(gateway.root / "gateway.toml")]
    terminal = Terminal(["sh", "-c", f'stty cols {COLUMNS} -echo; exec "$@"', "sh", *argv])
    if typed:
        terminal.expect("[y/N] ")
        terminal.send(typed)
    status = terminal.wait()
    return status, terminal.seen.replace("\r\n", "\n")


def break_configuration(gateway: Gateway) -> None:
    """A table twice, as an editor leaves it, after the paths."""
    path = gateway.root / "gateway.toml"
    path.write_text(path.read_text() + "[idle]\nview = 600\n[idle]\nview = 600\n")


def hand_in(gateway: Gateway, principal: str, at: Path) -> Person:
    """Somebody who was invited and has handed in a key; it waits."""
    code = admin(gateway, "key", "invite", principal, "--as-key")
    at.mkdir()
    invitation = at / "invitation"
    invitation.write_text(code.out.rstrip() + "\n")
    invitation.chmod(0o600)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{principal}@new", "-f", str(at / "key")])
    invited, newcomer = Person(gateway, "invitation", invitation), Person(gateway, principal, at / "key")
    result = invited.ssh("enrol", stdin=Path(f"{newcomer.key}.pub").read_text())
    assert result.status == 0, result
    return newcomer


# The first screen


def test_alone_it_says_how_the_gateway_is_and_what_to_type(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway()
    person = gateway.person("dev", "dev1")
    person.new("p")
    with person.mounted("p"):
        status, seen = at_terminal(gateway)
    assert status == 0
    assert re.search(r"^ENC gateway \S+ on \S+ \(.*\): ready$", seen, re.MULTILINE)
    assert "1 session, 1 project unlocked" in seen and "1 key of 1 principal" in seen
    assert re.search(r"newest record (just now|\d+ s ago)", seen) and "enc-gateway key invite NAME" in seen
    assert admin(gateway, "--json").json["state"] == "ready"
    hand_in(gateway, "dev2", tmp_path / "dev2")
    _, seen = at_terminal(gateway)
    assert "waiting for approval: dev2" in seen and "enc-gateway key approve" in seen
    admin(gateway, "pause", "--message", "new disks")
    _, seen = at_terminal(gateway)
    assert "PAUSED" in seen and "new disks" in seen and "enc-gateway resume" in seen
    break_configuration(gateway)
    _, seen = at_terminal(gateway)
    assert "MISCONFIGURED: nobody can log in" in seen and "this table appears twice" in seen
    nowhere = run([str(bindir() / "enc-gateway"), "--config", str(tmp_path / "none.toml"), "--json"])
    assert nowhere.status == 0 and nowhere.json["state"] in ("not-set-up", "misconfigured", "unreadable", "ready")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(
            ("sesions",), "there is no command 'sesions'; did you mean `enc-gateway sessions`?", id="misspelt"
        ),
        pytest.param(
            ("backup", "verfy"), "did you mean `enc-gateway backup verify`?", id="and no directory of that name"
        ),
        pytest.param(("key", "aprove"), "did you mean `enc-gateway key approve`?", id="misspelt in a group"),
        pytest.param(("completion",), "missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish", id="choices"),
        pytest.param(("key", "invite"), "missing argument 'PRINCIPAL'; `enc-gateway key invite --help`", id="missing"),
        pytest.param(("sessions", "--bogus"), "no such option '--bogus'", id="an option"),
        pytest.param(("audit", "show", "-n", "x"), "'x' is not a valid integer", id="no number"),
        pytest.param(("help", "nosuch"), "there is no command 'nosuch'", id="no topic"),
    ],
)
def test_a_usage_error_is_one_line_with_exit_64(words: tuple[str, ...], said: str) -> None:
    result = run([str(bindir() / "enc-gateway"), *words])
    assert (result.status, result.out, result.err.count("\n")) == (64, "", 1), result
    assert result.err.startswith("enc-gateway: ") and said.lower() in result.err.lower(), result.err
    as_json = run([str(bindir() / "enc-gateway"), *words, "--json"]).json
    assert as_json["exit"] == 64 and as_json["error"] == "usage"


@pytest.mark.parametrize("group", ["key", "audit"])
def test_a_group_without_a_command_prints_its_help_as_it_is(group: str) -> None:
    program = str(bindir() / "enc-gateway")
    alone = run([program, group])
    assert alone.status == 64 and alone.err == run([program, group, "--help"]).out
    assert run([program, group, "--json"]).status == 64


def test_json_before_the_command_counts(make_gateway: Callable[..., Gateway]) -> None:
    config = ("--config", str(make_gateway().root / "gateway.toml"))
    for words, field in ((("sessions",), "sessions"), (("key", "list"), "keys")):
        assert run([str(bindir() / "enc-gateway"), "--json", *config, *words]).json == {field: []}


def test_help_and_completion_know_every_command() -> None:
    program = str(bindir() / "enc-gateway")
    assert run([program, "help", "key", "approve"]).out == run([program, "key", "approve", "--help"]).out
    script = run([program, "completion", "bash"]).out
    line = 'COMP_WORDS=(enc-gateway key ap); COMP_CWORD=2; _enc_gateway_completion enc-gateway; echo "${COMPREPLY[@]}"'
    found = run(["bash", "-c", f"PATH={bindir()}:$PATH\n{script}\n{line}"])
    assert found.out == "approve\n", found


# Reading


def test_every_table_fits_a_terminal_and_a_pipe_gets_everything(
    make_gateway: Callable[..., Gateway], tmp_path: Path, ground: Path
) -> None:
    gateway = make_gateway()
    one, two = gateway.person("laptop", LONG), gateway.person("by-its-fingerprint")
    for who, project in ((one, "a-project-with-a-long-name"), (two, "p")):
        who.new(project)
    hand_in(gateway, "somebody-else", tmp_path / "somebody-else")
    admin(gateway, "key", "invite", "nobody-yet")
    with one.mounted("a-project-with-a-long-name"), session(two) as (_, shared):
        unlock(two, "p", shared)
        (mine,) = [one for one in gateway.sessions() if one["principal"] == LONG]
        seen = {}
        for words in ((), ("sessions",), ("vaults",), ("key", "list"), ("key", "invites"), ("audit", "show")):
            status, seen[words] = at_terminal(gateway, *words)
            assert status == 0, seen[words]
            assert [line for line in seen[words].splitlines() if len(line) > COLUMNS] == [], words
            assert not re.search(RFC_3339, seen[words]), f"{words}: local or relative times"
        piped = admin(gateway, "sessions").out
    assert str(mine["id"]) in seen["sessions",] and "laptop@test" in seen["sessions",]
    assert re.search(r"\d+ s", seen["vaults",]) and "a-project-with-a-long-name" in seen["vaults",]
    short = re.search(r"SHA256:\S+", seen["key", "list"])
    assert short and len(short[0]) < 30, "the beginning of a fingerprint"
    assert admin(gateway, "key", "revoke", two.fingerprint[:18]).status == 0, "and `key` takes that"
    assert re.search(r"  SHA256:\S{43}  somebody-else", seen["key", "invites"])
    assert "allowed: new p" in seen["audit", "show"] and "key_type" not in seen["audit", "show"]
    assert re.search(RFC_3339, piped) and one.fingerprint in piped
    table = admin(gateway, "audit", "show").out
    assert one.fingerprint in table and re.match(rf"TIME .*\n{RFC_3339}\.\d+Z ", table)
    assert "at_prompt" not in table and "decision=" not in table


# Keys by name


def test_a_key_is_named_by_label_principal_or_the_beginning_of_its_fingerprint(
    make_gateway: Callable[..., Gateway],
) -> None:
    gateway = make_gateway()
    one, two, other = gateway.person("one", "dev1"), gateway.person("two", "dev1"), gateway.person("three", "dev2")
    several = admin(gateway, "key", "revoke", "dev1")
    assert several.status == 64 and f"names 2 keys; name one of them: {one.fingerprint} one@test" in several.err
    assert admin(gateway, "key", "revoke", "SHA256:").status == 66
    config = ("--config", str(gateway.root / "gateway.toml"))
    for word in (other.fingerprint, other.fingerprint[:16], "dev2", "three@test"):
        told = run([str(bindir() / "enc-gateway"), "why", *config, word, "ls"])
        assert (told.status, told.err) == (0, ""), told
        assert "key: it is dev2's" in told.out and ".py" not in told.out
    unknown = run([str(bindir() / "enc-gateway"), "why", *config, "dev3", "ls"])
    assert unknown.status == 66 and "`enc-gateway key list`" in unknown.err
    assert admin(gateway, "key", "revoke", "two@test").status == 0
    assert two.ssh("ls").status == 255 and one.ssh("ls").status == 0


def test_what_a_table_shows_names_the_principal_everywhere_and_an_unknown_name_is_an_error(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway()
    person = gateway.person("by-its-fingerprint")
    person.new("p")
    short, label = person.fingerprint[:16], "by-its-fingerprint@test"
    backup = str(tmp_path / "backup")
    assert admin(gateway, "backup", backup).status == 0
    for word in (short, label):
        for option in ("--principal", "--key"):
            shown = admin(gateway, "audit", "show", option, word, "--json").json["records"]
            assert isinstance(shown, list) and shown, (option, word)
        assert admin(gateway, "restore", backup, word, "p", "--as", f"of-{len(word)}").status == 0
        with person.mounted("p") as held:
            killed = admin(gateway, "sessions", "kill", "--principal", word)
            assert killed.status == 0 and "ended s-" in killed.out, killed
            assert held.wait().status == 75
    quiet = admin(gateway, "sessions", "kill", "--principal", label)
    assert quiet.status == 0 and "has no session" in quiet.out
    assert admin(gateway, "key", "revoke", short).status == 0
    gone = admin(gateway, "audit", "show", "--key", short, "--json")
    assert gone.status == 0 and gone.json["records"], "the log outlives the key"
    config = ("--config", str(gateway.root / "gateway.toml"))
    for words in (
        ("sessions", "kill", "--principal", "bbo"),
        ("audit", "show", "--principal", "bbo"),
        ("audit", "show", "--key", "bbo"),
        ("restore", backup, "bbo", "p"),
        ("key", "revoke", "bbo"),
        ("why", *config, "bbo"),
    ):
        done = run([str(bindir() / "enc-gateway"), *words, *(() if "why" in words else config)])
        assert done.status == 66 and "no principal, key or label bbo in" in done.err, done


def test_a_session_is_ended_by_the_beginning_of_its_id(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    person = gateway.person("dev", "dev1")
    person.new("p")
    with person.mounted("p") as held:
        (listed,) = gateway.sessions()
        mistaken = admin(gateway, "sessions", "kill", "dev1")
        assert mistaken.status == 69 and "sessions kill --principal dev1" in mistaken.err
        assert admin(gateway, "sessions", "kill", str(listed["id"])[:5]).status == 0
        assert held.wait().status == 75


def test_two_invitations_are_told_of_and_all_of_a_principal_go_at_once(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    person = gateway.person("one", "dev1")
    assert "earlier" not in admin(gateway, "key", "invite", "dev1").err
    assert "An earlier invitation for dev1 is still good" in admin(gateway, "key", "invite", "dev1").err
    config = ("--config", str(gateway.root / "gateway.toml"))
    assert run([str(bindir() / "enc-gateway"), "why", *config, "dev1", "ls"]).status == 0, "the key, not an invitation"
    several = admin(gateway, "key", "revoke", "dev1")
    assert several.status == 64 and "or remove them all: --all" in several.err
    removed = admin(gateway, "key", "revoke", "--all", "dev1", "--json").json["keys"]
    assert isinstance(removed, list) and len(removed) == 3
    assert admin(gateway, "key", "list").out.startswith("no keys") and person.ssh("ls").status == 255


def test_the_code_of_an_embedded_gateway_has_its_own_host_key(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    code = admin(gateway, "key", "invite", "dev9").out.strip().removeprefix("enc1-")
    public = (gateway.root / "host_ed25519.pub").read_text().split()[1]
    assert base64.b64decode(public)[-32:] == base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))[64:96]


def test_an_invitation_prints_the_line_to_send_and_approving_needs_no_fingerprint(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway()
    made = admin(gateway, "key", "invite", "dev9")
    assert re.fullmatch(r"enc1-\S+\n", made.out), "the code alone is standard output"
    assert f"    enc init --host gateway -F {gateway.ssh_config} --invite -\n" in made.err
    assert "enc-gateway key approve dev9" in made.err
    named = admin(gateway, "key", "invite", "dev9", "--host", "gw.example")
    assert "enc init --host gateway" in admin(gateway, "key", "invite", "dev9").err
    assert re.search(r"enc init --host gw\.example --user \S+ --invite -", named.err)
    assert admin(gateway, "key", "approve").status == 66, "no key waits"
    first = hand_in(gateway, "dev1", tmp_path / "dev1")
    assert admin(gateway, "key", "approve").status == 0
    assert first.ssh("whoami", "--json").json["principal"] == "dev1"
    second, third = (hand_in(gateway, name, tmp_path / name) for name in ("dev2", "dev3"))
    many = admin(gateway, "key", "approve")
    assert many.status == 64 and "2 keys wait for approval" in many.err
    status, seen = at_terminal(gateway, "key", "approve", "dev2", typed="n\n")
    assert status == 64 and second.fingerprint in seen and second.ssh("ls").status == 255
    status, seen = at_terminal(gateway, "key", "approve", "dev2", typed="y\n")
    assert status == 0 and second.ssh("ls").status == 0, seen
    by_label = admin(gateway, "key", "approve", "dev3@new")
    assert by_label.status == 66, "whoever hands in a key chooses its label"
    short = admin(gateway, "key", "approve", third.fingerprint[:13])
    assert short.status == 64 and "too little of a fingerprint" in short.err, "anybody could make a key like it"
    assert admin(gateway, "key", "approve", third.fingerprint[:16]).status == 0
    assert third.ssh("ls").status == 0


def test_a_key_that_was_handed_in_for_two_becomes_that_of_whom_the_sysadmin_named(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway()
    code = admin(gateway, "key", "invite", "boss", "--as-key")
    stolen = tmp_path / "stolen"
    stolen.write_text(code.out.rstrip() + "\n")
    stolen.chmod(0o600)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mallory@new", "-f", str(tmp_path / "mallory.key")])
    public = Path(f"{tmp_path}/mallory.key.pub").read_text()
    assert Person(gateway, "thief", stolen).ssh("enrol", stdin=public).status == 0
    own = admin(gateway, "key", "invite", "mallory", "--as-key")
    invitation = tmp_path / "own"
    invitation.write_text(own.out.rstrip() + "\n")
    invitation.chmod(0o600)
    assert Person(gateway, "mallory", invitation).ssh("enrol", stdin=public).status == 0
    mallory = Person(gateway, "mallory", tmp_path / "mallory.key")
    both = admin(gateway, "key", "approve", mallory.fingerprint)
    assert both.status == 64 and "handed in for boss and for mallory" in both.err, both
    status, seen = at_terminal(gateway, "key", "approve", "mallory", typed="y\n")
    assert status == 0 and mallory.fingerprint in seen and "Let it in for mallory?" in seen, seen
    assert mallory.ssh("whoami", "--json").json["principal"] == "mallory"


# Pause, and a wrong configuration


def test_a_second_pause_keeps_the_message_and_shows_it(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    person = gateway.person("dev")
    assert admin(gateway, "pause", "--status").out.startswith("not paused")
    assert admin(gateway, "pause", "--message", "back at 14:00").status == 0
    again = admin(gateway, "pause")
    assert again.out.startswith("was paused already") and "back at 14:00" in again.out
    shown = admin(gateway, "pause", "--status")
    assert shown.status == 0 and "users see: the gateway is paused: back at 14:00" in shown.out
    assert admin(gateway, "pause", "--status", "--json").json == {"paused": True, "message": "back at 14:00", "live": 0}
    assert "back at 14:00" in person.ssh("new", "p", stdin=PASSPHRASE + "\n").err
    assert admin(gateway, "pause", "--status", "--lock-now").status == 64
    admin(gateway, "pause", "--message", "")
    assert "back at" not in admin(gateway, "pause", "--status").out, "that is how it is taken back"


def test_a_wrong_configuration_takes_nothing_away_that_looks_or_ends(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    one, two = gateway.person("one", "dev1"), gateway.person("two", "dev2")
    for who in (one, two):
        who.new("p")
    with one.mounted("p") as held, two.mounted("p") as other:
        break_configuration(gateway)
        assert one.ssh("ls").status == 75
        shown = one.ssh("status", "--json")
        assert shown.status == 0 and shown.out.count('"project": "p"') == 1, shown
        for words in (("key", "list"), ("audit", "show", "-n", "3"), ("pause", "--status"), ("vaults",)):
            result = admin(gateway, *words)
            assert result.status == 0 and "this table appears twice" in result.err, (words, result)
        listed = json.loads(admin(gateway, "sessions", "--json").out)["sessions"]
        assert {one["principal"] for one in listed} == {"dev1", "dev2"}
        assert one.ssh("unmount", "p").status == 0
        assert held.wait().status == 0
        assert admin(gateway, "sessions", "kill", "--principal", "dev2").status == 0
        assert other.wait().status == 75
    assert one.ssh("logout", "--all").status in (0, 69)
    assert admin(gateway, "key", "revoke", "dev2").status == 0
    assert two.ssh("status").status == 255
    assert admin(gateway, "pause").status == 0 and (gateway.root / "paused").exists()


def test_a_configuration_that_does_not_tell_its_places_ends_nothing_of_another_gateway(
    make_gateway: Callable[..., Gateway],
) -> None:
    gateway = make_gateway()
    one = gateway.person("one", "dev1")
    one.new("p")
    path = gateway.root / "gateway.toml"
    with one.mounted("p"):
        sound = path.read_text()
        path.write_text(sound.replace("[paths]\n", "[paths]\n= x\n"))
        for words in (("sessions",), ("sessions", "kill", "--all"), ("key", "revoke", "dev1"), ("pause", "--lock-now")):
            done = admin(gateway, *words)
            assert done.status == 75 and "line 2: expected a bare key" in done.err, (words, done)
        for line in ("unmount p", "status", "logout --all"):
            done = one.ssh(line)
            assert done.status == 75 and "misconfigured" in done.err, (line, done)
        path.write_text(sound)
        assert one.ssh("unmount", "p").status == 0


# The audit log


def test_the_newest_records_are_shown_and_new_ones_as_they_come(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    person = gateway.person("dev", "dev1")
    for _ in range(4):
        person.ssh("whoami")
    assert len(json.loads(admin(gateway, "audit", "show", "-n", "3", "--json").out)["records"]) == 3
    program = [str(bindir() / "enc-gateway"), "audit", "show", "--follow", "--json", "--verb", "ls"]
    terminal = Terminal([*program, "--config", str(gateway.root / "gateway.toml")])
    try:
        eventually(lambda: terminal.pid)
        for number in range(3):
            if number == 1:
                assert admin(gateway, "audit", "rotate").status == 0
            assert person.ssh("ls").status == 0
            terminal.expect('"event": "request"', 20)
            terminal.expect('"event": "result"', 20)
        assert "whoami" not in terminal.seen
        terminal.send("\x03")
        assert terminal.wait() == 0
    finally:
        terminal.close()


def test_the_program_of_the_host_that_run_started_is_recorded_and_no_other_word(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway()
    person = gateway.person("dev", "dev1")
    person.new("p")
    script = tmp_path / "canary-script"
    script.write_text("#!/bin/sh\nexit 3\n")
    script.chmod(0o755)
    ran = {
        ("true", "canary-argument"): (0, "true"),
        ("/usr/bin/true",): (0, "true"),
        ("./canary-script",): (3, "(of the project)"),
        ("/projects/p/canary-script",): (3, "(of the project)"),
        ("/usr/../projects/p/canary-script",): (3, "(of the project)"),
        ("/usr/bin/canary-name",): (127, "(not found)"),
        ("canary-name",): (127, "(not found)"),
    }
    with person.mounted("p"):
        assert person.sftp(f"put {script} p/canary-script").status == 0
        for words, (status, _) in ran.items():
            assert person.ssh("run", "p", "--", *words).status == status, words
        recorded = [record.get("program") for record in gateway.events("request", verb="run")]
        assert recorded == [name for _, name in ran.values()]
        assert "canary" not in Path(str(gateway.ready["audit"])).read_text()
        assert "allowed: run p: true" in admin(gateway, "audit", "show").out
        with (gateway.root / "gateway.toml").open("a") as file:
            file.write('[audit]\nprograms = "omit"\n')
        assert person.ssh("run", "p", "--", "true").status == 0
        assert "program" not in gateway.events("request", verb="run")[-1]


# The embedded gateway


def test_a_trial_says_what_to_type_next_and_ctrl_c_ends_it_quietly(place: Path, ground: Path) -> None:
    key = ground / "trial-key"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
    argv = [str(bindir() / "enc-gateway"), "embedded", str(ground / "trial"), "--key", f"{key}.pub"]
    for _ in range(3):
        terminal = Terminal(argv)
        terminal.expect(f"\n    {bindir()}/enc-gateway sessions --config")
        terminal.expect("gateway.toml")
        assert "Ctrl-C ends it" in terminal.seen and '{"event"' not in terminal.seen
        assert f"init --host gateway -F {ground}/trial/ssh_config" in terminal.seen and "mount parser" in terminal.seen
        assert run(["ssh", "-F", f"{ground}/trial/ssh_config", "-i", str(key), "gateway", "ls"]).status == 0
        terminal.send("\x03")
        assert terminal.wait() == 0
        assert "sshd ended" not in terminal.seen
    terminal = Terminal([*argv, "--json"])
    terminal.expect('{"event": "ready"')
    terminal.send("\x03")
    assert terminal.wait() == 0


def test_a_second_gateway_in_the_same_directory_is_refused_and_the_first_goes_on(
    make_gateway: Callable[..., Gateway],
) -> None:
    gateway = make_gateway()
    person = gateway.person("dev", "dev1")
    before = gateway.ssh_config.read_text()
    second = run([str(bindir() / "enc-gateway"), "embedded", str(gateway.root)])
    assert second.status == 75 and f"a gateway already runs in {gateway.root}" in second.err, second
    assert gateway.ssh_config.read_text() == before and person.ssh("ls").status == 0


def test_a_trial_whose_sshd_dies_names_its_log(place: Path, ground: Path) -> None:
    gateway = Gateway(ground / "dies").start()
    listeners = [pid for pid, argv in gateway.processes().items() if "/usr/sbin/sshd" in argv or "sshd: " in argv]
    process = gateway._process
    assert process is not None
    for pid in listeners:
        run(["kill", f"-{signal.SIGKILL.value}", str(pid)])
    assert process.wait(20) == 75
