"""What sshd's transport is made of, and what the drop-ins do to other logins of the same sshd."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, run

ROOT = Path(__file__).resolve().parents[2]
SSHD = "/usr/sbin/sshd"


@pytest.fixture(scope="module")
def gateway(gateway_as_shipped: Gateway) -> Gateway:
    return gateway_as_shipped


def test_ssh_audit_has_nothing_to_say_against_it(gateway: Gateway) -> None:
    """Not its rate test, which is about sshd's limits per address: MaxStartups is the sysadmin's."""
    program = str(Path(sys.executable).with_name("ssh-audit"))
    port = str(gateway.ready["port"])
    result = run([program, "--skip-rate-test", "--no-colors", "-l", "warn", "-p", port, "127.0.0.1"])
    assert result.status == 0, result.out
    assert "[warn]" not in result.out and "[fail]" not in result.out


def test_a_client_without_a_post_quantum_key_exchange_is_refused(person: Person) -> None:
    for option in ("KexAlgorithms=curve25519-sha256", "MACs=hmac-sha1", "Ciphers=chacha20-poly1305@openssh.com"):
        cipher = () if option.startswith("Ciphers") else ("-o", "Ciphers=aes256-ctr")  # GCM needs no MAC
        result = person.ssh("whoami", extra=("-o", option, *cipher))
        assert result.status == 255 and "no matching" in result.err, option


def effective(tmp_path: Path, *drop_ins: str) -> set[str]:
    """What sshd -T says for another login of an sshd that includes these drop-ins."""
    config = tmp_path / "sshd_config"
    key = tmp_path / "key"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    lines = [f"HostKey {key}", *(f"Include {ROOT}/sshd_config.d/{name}" for name in drop_ins)]
    config.write_text("\n".join(lines) + "\n")
    result = run([SSHD, "-T", "-f", str(config), "-C", "user=nobody,host=localhost,addr=127.0.0.1"])
    assert result.status == 0, result
    return set(result.out.splitlines())


def test_the_match_block_changes_one_thing_for_other_logins(tmp_path: Path) -> None:
    changed = effective(tmp_path, "50-enc.conf") - effective(tmp_path)
    assert changed == {"permituserenvironment ENC_USER"}


def test_the_transport_file_changes_algorithms_and_nothing_else_for_other_logins(tmp_path: Path) -> None:
    changed = effective(tmp_path, "40-enc-transport.conf") - effective(tmp_path)
    assert {line.split()[0] for line in changed} == {"kexalgorithms", "hostkeyalgorithms", "ciphers", "macs"}
