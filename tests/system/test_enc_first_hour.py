"""What a newcomer to `enc` meets: the first screen, help, mistakes in typing, the first key, the first project."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, Terminal, admin, bindir
from tests.laptop import PROMPT, Laptop, laptop, typed


@pytest.fixture
def mine(person: Person) -> Iterator[Laptop]:
    """A machine whose user has the project `parser`."""
    person.new("parser")
    with laptop(person) as made:
        yield made


@pytest.fixture
def terminal(mine: Laptop) -> Iterator[Terminal]:
    opened = mine.terminal()
    yield opened
    opened.close()


def without_ssh(mine: Laptop) -> dict[str, str]:
    """A PATH on which ssh says that it was called, and fails."""
    tools = mine.root / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "ssh").write_text(f"#!/bin/sh\necho called >>{mine.root}/called\nexit 1\n")
    (tools / "ssh").chmod(0o700)
    return {"PATH": f"{tools}:{bindir()}:{os.environ['PATH']}"}


# The first screen


def test_enc_alone_says_where_one_stands_and_makes_no_connection(mine: Laptop) -> None:
    nowhere = mine.enc(ENC_HOST="", **without_ssh(mine))
    assert nowhere.status == 0 and nowhere.out.startswith("No gateway is set up yet.\n"), nowhere
    assert "  enc init  " in nowhere.out and "?" not in nowhere.out
    before = mine.enc(**without_ssh(mine))
    assert before.out.startswith("Gateway gateway: not connected;")
    assert not (mine.root / "called").exists()
    mine.mount("parser", "--detach")
    after = mine.enc(**without_ssh(mine))
    assert after.out.startswith("Gateway gateway: connected.\nparser is mounted at ~/enc/parser: "), after
    shown = after.out.split("\n\n")[1].splitlines()
    assert [line.split()[1] for line in shown] == ["run", "status", "unmount", "mount", "new"]
    assert "enc mount P" in before.out and "enc unmount" not in before.out, "what fits where one stands"
    assert mine.enc("--json", **without_ssh(mine)).json["connected"] is True
    assert not (mine.root / "called").exists()


def test_a_mount_is_told_with_its_short_path_in_bold_and_without_it_elsewhere(mine: Laptop) -> None:
    for term, at in (("xterm", "\x1b[1m~/enc/parser\x1b[0m"), ("dumb", "~/enc/parser")):
        terminal = mine.terminal(TERM=term)
        mine.mount_in(terminal, "parser")
        assert f"parser is mounted at {at}, unlocked by your passphrase, until this terminal closes" in terminal.seen
        typed(terminal, "enc unmount parser")
        terminal.close()


def test_a_project_at_whose_passphrase_another_terminal_waits_is_not_mounted_yet(
    mine: Laptop, terminal: Terminal
) -> None:
    terminal.send("enc mount parser\n")
    terminal.expect("Passphrase of parser: ")
    assert "\nparser is being mounted by another enc.\n" in mine.enc().out
    refused = mine.enc("unmount", "parser")
    assert refused.status == 75 and "parser is not mounted yet: another enc (" in refused.err, refused
    assert mine.enc("unmount", "--all").out == "nothing is mounted\n"
    terminal.send(f"{PASSPHRASE}\n")
    terminal.expect("parser is mounted at")
    terminal.expect(PROMPT)


def test_a_mistyped_command_is_answered_here_with_the_one_that_was_meant(mine: Laptop) -> None:
    for word, meant in (("mout", "mount"), ("unmout", "unmount"), ("stauts", "status"), ("shel", "shell")):
        done = mine.enc(word, "parser", **without_ssh(mine))
        assert (done.status, done.err) == (127, f"enc: there is no command {word}; did you mean `enc {meant}`?\n")
    assert not (mine.root / "called").exists()


def test_a_mistyped_project_is_answered_with_the_one_that_was_meant(mine: Laptop) -> None:
    for words in (("mount", "parsre"), ("mount", "par"), ("run", "parsre", "--", "true"), ("rm", "parsre", "--yes")):
        done = mine.enc(*words)
        assert done.status == 66 and "did you mean parser?" in done.err and done.err.count("\n") == 1, done


def test_help_explains_the_commands_of_enc_and_makes_no_connection(mine: Laptop) -> None:
    listed = mine.enc("help", **without_ssh(mine))
    assert listed.status == 0 and re.findall(r"(?m)^  (shell|idle|fsck|help|touch) ", listed.out), listed
    explained = mine.enc("help", "mount", **without_ssh(mine))
    assert explained.out.startswith("Usage: enc mount ") and "--detach" in explained.out
    unknown = mine.enc("help", "nosuch", **without_ssh(mine))
    assert (unknown.status, unknown.err) == (127, "enc: there is no command nosuch; `enc help` lists them\n")
    gateways = mine.enc("help", "session", **without_ssh(mine))
    assert "session is a command of the gateway" in gateways.err
    assert not (mine.root / "called").exists()


USAGE = [
    pytest.param(("mount", "--bogus"), "No such option '--bogus'; see", id="an unknown option"),
    pytest.param(("mount", "--detahc"), "No such option '--detahc'. Did you mean '--detach'?", id="a mistyped option"),
    pytest.param(("--hots", "x", "ls"), "No such option '--hots'", id="before the command"),
    pytest.param(("mount",), "Missing argument 'PROJECT'", id="a missing argument"),
    pytest.param(("mount", "a", "b", "c"), "Got unexpected extra argument (c)", id="one too many"),
    pytest.param(("init", "--port", "x"), "Invalid value for '--port'", id="a wrong value"),
    pytest.param(("completion", "csh"), "there is no completion for csh; name bash, zsh or fish", id="completion"),
    pytest.param(("run", "a", "b", "--", "c"), "b is one word too many before --", id="words before --"),
    pytest.param(("run", "a"), "no program was given", id="no program"),
    pytest.param(("run", "a", "--time", "x", "--", "b"), "'x' is no time; write --time", id="no time"),
    pytest.param(("unmount",), "name the projects to unmount; or use --all", id="unmount what"),
]


@pytest.mark.parametrize(("words", "said"), USAGE)
def test_an_error_of_usage_is_one_clear_line(mine: Laptop, words: tuple[str, ...], said: str) -> None:
    done = mine.enc(*words)
    assert done.status == 64 and done.err.startswith(f"enc: {said}"), done
    assert done.err.count("\n") == 1 and "?;" not in done.err and "??" not in done.err


def test_completion_without_a_shell_is_for_the_users_own(mine: Laptop) -> None:
    assert mine.enc("completion", SHELL="/bin/zsh").out == mine.enc("completion", "zsh").out != ""
    words = {"COMP_WORDS": "enc ", "COMP_CWORD": "1", "_ENC_COMPLETE": "bash_complete"}
    assert {"plain,shell", "plain,idle", "plain,fsck"} <= set(mine.enc(**words).out.split())


def test_completion_offers_what_is_mounted_and_gateways_and_commands_without_a_connection(mine: Laptop) -> None:
    def offered(line: str) -> set[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split())), "_ENC_COMPLETE": "bash_complete"}
        return set(mine.enc(**words, **without_ssh(mine)).out.split())

    config = mine.home / ".config/enc/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[gateways.work]\nhost = "gateway"\n')
    mine.mount("parser")
    assert offered("enc unmount ") == {"plain,parser"}
    assert offered("enc ls --host ") == {"plain,work"}
    assert {"plain,mount", "plain,unmount"} <= offered("enc help ")
    assert not (mine.root / "called").exists()


def test_options_may_stand_before_or_after_the_command(mine: Laptop) -> None:
    plain = {"ENC_HOST": "", "ENC_SSH_CONFIG": "", "ENC_IDENTITY": ""}
    options = ("--host", "gateway", "-F", str(mine.gateway.ssh_config), "-i", str(mine.who.key))
    for words in ((*options, "--json", "ls"), ("--json", *options, "ls"), ("ls", *options, "--json")):
        assert mine.enc(*words, **plain).json["projects"], words
    failed = mine.enc("--json", "mount", "other")
    assert failed.json["error"] == "no-such-project"


HINTS = [
    pytest.param(("run", "parser", "--", "true"), "`enc mount parser` unlocks it", id="locked"),
    pytest.param(("idle", "parser", "0"), "usage: `enc idle PROJECT [SECONDS]", id="usage"),
    pytest.param(("idle", "zzz"), "`enc ls` lists your projects", id="no such project"),
    pytest.param(("zzzzzz",), "`enc help` lists the commands", id="no such command"),
]


@pytest.mark.parametrize(("words", "hint"), HINTS)
def test_a_hint_of_the_gateway_names_the_command_as_it_is_typed_here(
    mine: Laptop, words: tuple[str, ...], hint: str
) -> None:
    assert hint in mine.enc(*words).err
    before = " ".join(words).replace("zzzzzz", "zzzzzz ")
    assert hint.replace("`enc ", "`") in mine.who.ssh(before).err, "and as it is typed there"
    if words[0] == "idle":
        assert hint in str(mine.enc(*words, "--json").json["hint"])


# Keys


def at_init(mine: Laptop, **more: str) -> Terminal:
    terminal = mine.terminal(ENC_IDENTITY="", ENC_HOST="", **more)
    terminal.send("enc init --host gateway --name work\n")
    return terminal


def test_init_takes_only_a_key_file_for_a_key_file(mine: Laptop) -> None:
    ssh = mine.home / ".ssh"
    ssh.mkdir(mode=0o700)
    (ssh / "id_ed25519").write_bytes(mine.who.key.read_bytes())
    (ssh / "id_ed25519").chmod(0o600)
    config = mine.home / ".config/enc/config.toml"
    code = "enc1-" + "A" * 134
    for answers in (("/nonexistent/key", "n", code), ("agent", "/etc/hostname", "n")):
        terminal = at_init(mine)
        for answer in answers:
            terminal.expect("Key file, or 'agent'")
            terminal.expect("]: ")
            terminal.send(f"{answer}\n")
        assert "no key was named" in terminal.expect(PROMPT)
        terminal.close()
        assert not config.exists()
        assert "there is no key file n;" in terminal.seen
    terminal = at_init(mine)
    terminal.expect("]: ")
    terminal.send("\n")
    terminal.expect("connected to work as ")
    terminal.close()
    assert f'identity = "{ssh}/id_ed25519"' in config.read_text()


def test_init_offers_to_make_a_key_and_says_what_it_makes(mine: Laptop) -> None:
    terminal = at_init(mine)
    terminal.expect("You have no Ed25519 key and no ssh-agent.")
    for other, said in (("/nonexistent", "there is no key file /nonexistent;"), ("/etc/hostname", "is no SSH key;")):
        terminal.expect("Make a key at ~/.ssh/id_ed25519? Y, n, or your key file [Y]: ")
        terminal.send(f"{other}\n")
        terminal.expect(said)
    terminal.expect("Make a key at ~/.ssh/id_ed25519?")
    terminal.send("\n")
    terminal.expect("Making your SSH key ~/.ssh/id_ed25519. Choose a passphrase that protects the key itself;")
    for _ in range(2):
        terminal.expect("passphrase")
        terminal.expect(": ")
        terminal.send("\n")
    terminal.expect("does not accept your key")
    terminal.expect("Invitation code (Enter if you have none): ")
    terminal.send("\n")
    assert "give your sysadmin" in terminal.expect(PROMPT)
    terminal.close()
    assert (mine.home / ".ssh/id_ed25519.pub").exists() and not (mine.home / ".config/enc/config.toml").exists()


def test_a_key_that_was_handed_in_waits_for_the_sysadmin_and_then_does_not(
    gateway: Gateway, mine: Laptop, tmp_path: Path
) -> None:
    config = re.sub(r"(?m)^.*(UserKnownHostsFile|IdentityFile) .*\n", "", gateway.ssh_config.read_text())
    (tmp_path / "ssh_config").write_text(f"{config}    UserKnownHostsFile {tmp_path}/known_hosts\n")
    plain = {"ENC_HOST": "", "ENC_IDENTITY": "", "ENC_SSH_CONFIG": ""}
    host = str(gateway.root / "host_ed25519.pub")
    code = str(admin(gateway, "key", "invite", "newcomer", "--json", "--host-key", host).json["code"])
    words = ("init", "--host", "gateway", "-F", str(tmp_path / "ssh_config"), "-i", str(tmp_path / "id"))
    done = mine.enc(*words, "--invite", "-", "--json", stdin=f"{code}\n", **plain)
    key = str(done.json["fingerprint"])
    assert mine.enc(**plain).out.startswith(f"Gateway gateway: your key {key} waits for your sysadmin")
    for waiting in (("ls",), ("mount", "parser"), ("run", "parser", "--", "true")):
        refused = mine.enc(*waiting, **plain)
        assert refused.status == 77 and f"your key {key} waits for your sysadmin" in refused.err, refused
    assert admin(gateway, "key", "approve", key).status == 0
    assert mine.enc("ls", **plain).status == 0
    assert mine.enc(**plain).out.startswith("Gateway gateway as newcomer: not connected")
    assert admin(gateway, "key", "revoke", key).status == 0
    assert "waits" not in mine.enc("ls", **plain).err, "it was accepted once"


# The first project


def test_new_asks_for_a_passphrase_last_and_says_how_long_it_has_to_be(mine: Laptop, terminal: Terminal) -> None:
    asked = ("Passphrase", "passphrase of")
    assert not any(word in typed(terminal, "enc new parser") for word in asked), "the name is taken"
    source = mine.root / "source"
    source.mkdir()
    (source / "fifo").mkdir(mode=0)
    assert not any(word in typed(terminal, "enc new other --from /nowhere") for word in asked)
    terminal.send("enc new other\n")
    terminal.expect("The passphrase needs at least 12 characters. Nobody can recover it for you; --recovery")
    for bad, said in (("short", "fewer than 12 characters; type"), (f"{PASSPHRASE}\x1b[D", "type it again without")):
        terminal.expect("New passphrase of other: ")
        terminal.send(f"{bad}\n")
        terminal.expect(said)
    assert "Repeat" not in terminal.seen, "it is checked before it is typed twice"
    terminal.expect("New passphrase of other: ")
    terminal.send(f"{PASSPHRASE}\n")
    terminal.expect("Repeat the passphrase: ")
    terminal.send("mistyped\n")
    terminal.expect("the two passphrases are different; nothing was changed")
    terminal.expect(PROMPT)
    terminal.send("enc new other\n")
    terminal.expect("New passphrase of other: ")
    terminal.send(f"{PASSPHRASE}\n")
    terminal.expect("Repeat the passphrase: ")
    terminal.send("mistyped\n")
    terminal.expect("the two passphrases are different; once more")
    for question in ("New passphrase of other: ", "Repeat the passphrase: "):
        terminal.expect(question)
        terminal.send(f"{PASSPHRASE}\n")
    terminal.expect("created other")


def test_new_from_a_directory_checks_the_runtime_directory_before_it_asks(mine: Laptop) -> None:
    open_to_all = mine.root / "open"
    open_to_all.mkdir(mode=0o777)
    open_to_all.chmod(0o777)
    terminal = mine.terminal(XDG_RUNTIME_DIR=str(open_to_all))
    said = typed(terminal, f"enc new other --from {mine.home}")
    assert "is not a private directory of yours" in said and "assphrase" not in said
    terminal.close()
    assert "other" not in mine.enc("ls").out


def test_an_interrupted_copy_is_told_and_the_same_words_continue_it(mine: Laptop, terminal: Terminal) -> None:
    source = mine.root / "source"
    source.mkdir()
    for number in range(3):
        (source / f"file{number}").write_bytes(os.urandom(4_000_000))
    tools = mine.root / "slow"
    tools.mkdir()
    (tools / "rsync").write_text('#!/bin/sh\nexec /usr/bin/rsync --bwlimit=2M "$@"\n')
    (tools / "rsync").chmod(0o700)
    slow = mine.terminal(PATH=f"{tools}:{bindir()}:{os.environ['PATH']}")
    slow.send(f"enc new big --from {source}\n")
    for question in ("New passphrase of big: ", "Repeat the passphrase: "):
        slow.expect(question)
        slow.send(f"{PASSPHRASE}\n")
    slow.expect("%")
    slow.send("\x03")
    said = slow.expect(PROMPT)
    assert f"enc: interrupted: big exists, with a part of {source}; `enc new big --from {source}` continues" in said
    slow.close()
    with laptop(mine.who) as other:
        other.mount("big")
        wrong = mine.enc("new", "big", "--from", str(source), stdin="a wrong passphrase\n")
        assert wrong.status == 73 and "nothing was copied: wrong passphrase" in wrong.err, wrong
        assert mine.views() == ["big"], "what another machine unlocked stays unlocked"
    elsewhere = mine.enc("new", "big", "--from", str(mine.home), stdin=f"{PASSPHRASE}\n")
    assert (elsewhere.status, elsewhere.err) == (73, "enc: you already have a project big\n")
    refused = typed(terminal, f"cd {mine.root}; enc new big")
    assert "you already have a project big" in refused
    at = mine.mount_in(terminal, "big")
    refused = typed(terminal, f"enc new big --from {source}")
    assert refused == f"enc: big is already mounted at {at}; `enc unmount big` unmounts it\n", "and asks for nothing"
    assert os.path.ismount(at) and mine.views() == ["big"], "a refused command locks nothing"
    typed(terminal, "enc unmount big")
    terminal.send("enc new big --from source\n")
    terminal.expect("big exists, with a part of source; the copy continues")
    terminal.expect("Passphrase of big: ")
    terminal.send(f"{PASSPHRASE}\n")
    terminal.expect("3 files and directories copied and compared")
    assert not list((mine.home / ".local/state/enc/unfinished").iterdir())
    again = mine.enc("new", "big", "--from", str(source), stdin=f"{PASSPHRASE}\n")
    assert (again.status, again.err) == (73, "enc: you already have a project big\n"), "it is complete"


TAKEN = (73, "enc: you already have a project {}\n")


def filled(mine: Laptop, name: str) -> Path:
    """A directory with the file `plan`."""
    made = mine.root / name
    made.mkdir()
    (made / "plan").write_text(f"of {name}\n")
    return made


def content(mine: Laptop, project: str) -> str:
    with mine.who.mounted(project):
        return mine.who.ssh(f"run {project} -- cat plan").out


def test_a_copy_that_ended_at_the_passphrase_is_not_continued_into_a_project_of_that_name(
    mine: Laptop, terminal: Terminal
) -> None:
    old, new = filled(mine, "old"), filled(mine, "new")
    terminal.send(f"enc new draft --from {old}\n")
    terminal.expect("New passphrase of draft: ")
    terminal.send("\x03")
    terminal.expect(PROMPT)
    mine.who.new("draft")
    with mine.who.mounted("draft"):
        assert mine.who.sftp(f"put {new}/plan draft/plan").status == 0
    done = mine.enc("new", "draft", "--from", str(old), stdin=f"{PASSPHRASE}\n")
    assert (done.status, done.err) == (TAKEN[0], TAKEN[1].format("draft"))
    assert content(mine, "draft") == "of new\n"


def test_a_jump_host_that_says_something_leads_no_copy_into_a_project_that_exists(mine: Laptop) -> None:
    config, proxy = mine.root / "noisy_config", mine.root / "proxy.py"
    text = mine.gateway.ssh_config.read_text()
    (port,) = set(re.findall(r"(?mi)^\s*Port\s+(\d+)", text))
    proxy.write_text(
        f"import socket, sys\nto = socket.create_connection(('127.0.0.1', {port}))\n"
        "print('Welcome to the jump host', file=sys.stderr)\n"
        "socket.send_fds(socket.socket(fileno=1), [b'x'], [to.fileno()])\n"
    )
    config.write_text(f"{text}\nHost gateway\n ProxyCommand /usr/bin/python3 {proxy}\n ProxyUseFdpass yes\n")
    old, new = filled(mine, "old"), filled(mine, "new")
    noisy = {"ENC_SSH_CONFIG": str(config), "ENC_PASSPHRASE_COMMAND": f"echo '{PASSPHRASE}'"}
    assert mine.enc("new", "draft", "--from", str(new), **noisy).status == 0
    done = mine.enc("new", "draft", "--from", str(old), **noisy)
    assert done.status == 73 and "you already have a project draft" in done.err, done
    assert content(mine, "draft") == "of new\n"


def test_a_copy_is_not_continued_into_another_project_that_took_the_name(mine: Laptop) -> None:
    old, source = filled(mine, "old"), filled(mine, "new")
    tools = mine.root / "failing"
    tools.mkdir()
    (tools / "rsync").write_text("#!/bin/sh\nexit 1\n")
    (tools / "rsync").chmod(0o700)
    failing = {"PATH": f"{tools}:{bindir()}:{os.environ['PATH']}"}
    begun = mine.enc("new", "draft", "--from", str(old), stdin=f"{PASSPHRASE}\n", **failing)
    assert begun.status == 73 and "continues" in begun.err, begun
    assert mine.who.ssh("rm draft --yes").status == 0, "by ssh, of which enc knows nothing"
    assert mine.enc("new", "draft", stdin=f"{PASSPHRASE}\n").status == 0
    done = mine.enc("new", "draft", "--from", str(old), stdin=f"{PASSPHRASE}\n")
    assert (done.status, done.err) == (TAKEN[0], TAKEN[1].format("draft")), "enc made the other one itself"
    assert mine.enc("rm", "draft", "--yes").status == 0
    begun = mine.enc("new", "draft", "--from", str(old), stdin=f"{PASSPHRASE}\n", **failing)
    assert begun.status == 73, begun
    assert mine.who.ssh("rm draft --yes").status == 0
    mine.who.new("draft")
    os.utime(old / "plan", (1_000_000_000, 1_000_000_000))
    with mine.who.mounted("draft"):
        assert mine.who.sftp(f"put {source}/plan draft/plan").status == 0
    done = mine.enc("new", "draft", "--from", str(old), stdin=f"{PASSPHRASE}\n")
    assert done.status == 73 and "files differ from their copies" in done.err, done
    assert content(mine, "draft") == "of new\n", "what is newer there is kept"


def test_there_are_three_attempts_at_a_terminal_and_one_elsewhere(mine: Laptop, terminal: Terminal) -> None:
    terminal.send("enc mount parser\n")
    for answer in ("wrong", "also wrong"):
        terminal.expect("Passphrase of parser: ")
        terminal.send(f"{answer}\n")
        terminal.expect("try again")
    terminal.expect("Passphrase of parser: ")
    terminal.send(f"{PASSPHRASE}\n")
    terminal.expect("parser is mounted at")
    terminal.send("enc unmount parser; enc mount parser; echo status-$?\n")
    for _ in range(3):
        terminal.expect("Passphrase of parser: ")
        terminal.send("wrong\n")
    terminal.expect("status-77")
    once = mine.enc("mount", "parser", stdin=f"wrong\n{PASSPHRASE}\n")
    assert once.status == 77 and "try again" not in once.err


def test_without_a_runtime_directory_enc_makes_a_private_one_of_its_own(mine: Laptop) -> None:
    done = mine.enc("doctor", "--json", XDG_RUNTIME_DIR="")
    (runtime,) = [one for one in json.loads(done.out)["findings"] if one["about"] == "runtime"]
    assert runtime["says"].startswith("XDG_RUNTIME_DIR is not set, so state is kept in /"), runtime
    made = Path(runtime["says"].rpartition(" ")[2])
    assert made.stat().st_mode & 0o777 == 0o700
    try:
        at = mine.mount("parser", XDG_RUNTIME_DIR="")
        assert os.path.ismount(at)
        assert mine.enc("unmount", "parser", XDG_RUNTIME_DIR="").status == 0
    finally:
        mine.enc("logout", "--all", XDG_RUNTIME_DIR="")


def test_a_changed_host_key_names_the_command_that_removes_the_old_one(mine: Laptop) -> None:
    known, config = mine.root / "known", mine.root / "changed"
    other = (mine.gateway.root.parent / f"key-{mine.who.name}.pub").read_text().split()
    known.write_text(f"enc-gateway {other[0]} {other[1]}\n")
    text = re.sub(r"(?m)^.*UserKnownHostsFile .*\n", "", mine.gateway.ssh_config.read_text())
    config.write_text(f"{text}    UserKnownHostsFile {known}\n")
    done = mine.enc("ls", ENC_SSH_CONFIG=str(config))
    assert done.status == 76 and f"`ssh-keygen -f {known} -R enc-gateway`, then `enc init`" in done.err, done
    subprocess.run(["ssh-keygen", "-f", str(known), "-R", "enc-gateway"], check=True, capture_output=True)
    assert "is not known" in mine.enc("ls", ENC_SSH_CONFIG=str(config)).err
