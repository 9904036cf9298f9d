"""The main job in one go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Gateway, Person, eventually


@pytest.fixture(scope="module")
def gateway(gateway_as_shipped: Gateway) -> Gateway:
    return gateway_as_shipped


def test_a_file_put_through_sftp_is_ciphertext_on_disk(
    gateway: Gateway, person: Person, project: str, tmp_path: Path
) -> None:
    secret = tmp_path / "telltale-name.txt"
    secret.write_text("telltale content")
    with person.mounted(project) as held:
        assert person.sftp(f"cd {project}", f"put {secret}").status == 0
        assert "telltale-name.txt" in person.sftp(f"ls {project}").out
        assert person.ssh("unmount", project).status == 0
        assert held.wait().status == 0
    kept = (person.vault(project), *(path for path in gateway.root.iterdir() if path.name != "vaults"))
    for path in (found for one in kept for found in (one, *one.rglob("*"))):
        assert "telltale" not in path.name
        if path.is_file() and not path.is_symlink():
            assert b"telltale" not in path.read_bytes()
    eventually(lambda: not gateway.leftovers())
