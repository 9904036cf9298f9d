"""One cluster for all modules: it takes 15 s to make. What a test has lost of it is made anew for the next one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cluster.rig import Rig, cluster

ENTERED = "ENC_CLUSTER_MACHINE"
"""Set by script/test-cluster, which makes the machine that these tests need."""


def pytest_ignore_collect() -> bool | None:
    """Leave this folder out of a run that is not script/test-cluster's."""
    return None if os.environ.get(ENTERED) else True


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    with cluster() as made:
        yield made


@pytest.fixture(autouse=True)
def repaired(rig: Rig) -> Iterator[None]:
    yield
    rig.repair()
