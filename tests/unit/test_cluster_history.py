"""The checker of histories (tests/cluster/history.py) finds each kind of fault, and nothing in a good history."""

from __future__ import annotations

import dataclasses

import pytest

from tests.cluster.history import Epoch, History, Write, faults

GOOD = History(
    epochs=(
        Epoch(1, "gw1", 0.5, (Write(1, 1.0, 1.1), Write(2, 2.0, 2.1))),
        Epoch(2, "gw2", 3.5, (Write(1, 4.0, 4.1),)),
    ),
    landed=((1, 1), (1, 2), (2, 1)),
)


def test_a_good_history_has_no_fault() -> None:
    assert not faults(GOOD)


def test_a_record_may_land_whose_acknowledgement_was_lost() -> None:
    assert not faults(dataclasses.replace(GOOD, landed=((1, 1), (1, 2), (1, 3), (2, 1), (2, 2))))


def test_a_write_that_began_before_the_other_had_the_project_may_be_acknowledged_later() -> None:
    slow = Epoch(1, "gw1", 0.5, (Write(1, 3.4, 9.0),))
    assert not faults(History((slow, GOOD.epochs[1]), ((1, 1), (2, 1))))


@pytest.mark.parametrize(
    ("landed", "fault"),
    [
        pytest.param(((1, 1), (2, 1)), "record 2 of epoch 1 was acknowledged on gw1 and is not there", id="lost"),
        pytest.param(((1, 1), (2, 1), (1, 2)), "record 2 of epoch 1 landed after epoch 2 had begun", id="late"),
        pytest.param(((1, 1), (1, 2), (1, 2), (2, 1)), "record 2 of epoch 1 landed after record 2", id="twice"),
        pytest.param(((1, 2), (1, 1), (2, 1)), "record 1 of epoch 1 landed after record 2", id="out of order"),
        pytest.param(((1, 1), None, (1, 2), (2, 1)), "line 1 is no record", id="overwritten"),
        pytest.param(((1, 1), (1, 2), (2, 1), (3, 1)), "nobody had epoch 3", id="from nowhere"),
    ],
)
def test_what_landed_wrongly_is_found(landed: tuple[tuple[int, int] | None, ...], fault: str) -> None:
    (found,) = faults(dataclasses.replace(GOOD, landed=landed))
    assert found.startswith(fault)


def test_two_holders_at_once_are_found_even_if_all_landed_in_order() -> None:
    """The older one's write began after the other had the project, and before the other wrote."""
    older = Epoch(1, "gw1", 0.5, (Write(1, 1.0, 1.1), Write(2, 3.6, 3.7)))
    (found,) = faults(History((older, GOOD.epochs[1]), GOOD.landed))
    assert found == "record 2 of epoch 1 was begun on gw1 0.100 s after gw2 had the project, and acknowledged"


def test_a_complaint_of_fsck_is_a_fault() -> None:
    assert faults(dataclasses.replace(GOOD, complaints=("corrupt",))) == ["fsck: corrupt"]


def test_a_history_without_writes_is_no_proof() -> None:
    """It has no fault; who runs the writers has to see that they wrote (tests/cluster/writers.py)."""
    assert not faults(History((), ()))
