"""A gateway that is somebody else's, or was taken over, and what it says to `enc`."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Result, eventually, need_root
from tests.laptop import laptop

Says = Callable[[str, int], Result]


@pytest.fixture(scope="module")
def enc(gateway: Gateway, ground: Path) -> Iterator[Says]:
    """`enc init`, which asks who one is, with a stock sshd that answers each command with a text and a status."""
    need_root()
    with laptop(gateway.person("misled")) as mine, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        answer = ground / "answer"
        config = ground / "hostile_config"
        line = Path(f"{mine.who.key}.pub").read_text()
        (ground / "keys").write_text(line)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ground / "host")], check=True)
        account = pwd.getpwuid(os.getuid()).pw_name
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {ground}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
            f"AuthorizedKeysFile {ground}/keys\nPermitRootLogin yes\nForceCommand sh {answer}\n"
        )
        known = ground / "known"
        known.write_text("hostile " + (ground / "host.pub").read_text())
        client = ground / "client_config"
        client.write_text(
            f"Host gateway\n HostName 127.0.0.1\n Port {port}\n User {account}\n HostKeyAlias hostile\n"
            f" UserKnownHostsFile {known}\n IdentitiesOnly yes\n"
        )
        sshd = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE, text=True)
        try:
            assert sshd.stderr is not None
            eventually(lambda: "listening" in (sshd.stderr.readline() if sshd.stderr else ""))

            def says(text: str, status: int) -> Result:
                (ground / "text").write_text(text + "\n")
                answer.write_text(f"cat {ground}/text; exit {status}\n")
                return mine.enc("init", "--name", "x", "--host", "gateway", ENC_SSH_CONFIG=str(client))

            yield says
        finally:
            sshd.terminate()
            sshd.communicate()


ESCAPES = "\x1b]0;owned\x07\x9b31m\u202e\nenc: all is well"


def test_nothing_that_it_says_is_for_the_terminal_to_act_on(enc: Says) -> None:
    for text, status in (
        (json.dumps({"error": "denied", "message": ESCAPES, "hint": ESCAPES, "exit": 77}), 77),
        (json.dumps({"principal": ESCAPES}), 0),
    ):
        done = enc(text, status)
        said = (done.out + done.err).replace("\n", "")
        assert done.status == status and said.isprintable() and "?]0;owned?" in said, done
    refused = enc(json.dumps({"message": ESCAPES}), 77)
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize("text", ["[]", "7", '"x"', "[" * 100_000, "{", ""])
def test_what_is_no_answer_is_told_as_such(enc: Says, text: str) -> None:
    for status in (0, 77):
        done = enc(text, status)
        assert (done.status, done.err) == (status or 70, "enc: the gateway gave no answer\n"), done


@pytest.mark.parametrize("code", [0, -1, "x", None, 1 << 40, True])
def test_a_refusal_is_no_success_whatever_code_it_names(enc: Says, code: object) -> None:
    done = enc(json.dumps({"message": "no", "exit": code}), 69)
    assert (done.status, done.err) == (69, "enc: no\n"), done


@pytest.mark.parametrize("answer", [{}, {"principals": "x"}, {"error": "x"}])
def test_an_answer_that_lacks_something_is_told_as_such(enc: Says, answer: dict[str, object]) -> None:
    done = enc(json.dumps(answer), 0)
    said = "enc: the gateway's answer has no principal; is it an ENC gateway, of this version?\n"
    assert (done.status, done.err) == (70, said), done
