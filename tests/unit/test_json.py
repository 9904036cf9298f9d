"""`gateway.base.json` is `json`, only quicker to load."""

from __future__ import annotations

import json as stdlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base import json

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(_VALUES)
def test_writes_and_reads_what_json_does(value: object) -> None:
    assert json.dumps(value) == stdlib.dumps(value)
    assert json.dumps(value, ",", ":") == stdlib.dumps(value, separators=(",", ":"))
    assert json.loads(stdlib.dumps(value, indent=1).encode()) == value


@pytest.mark.parametrize("text", ["", " ", "{", "{} {}", "nope", "[1,]", '{"a":1}x', b"\xff", b"\0", "'a'", '"\n"'])
def test_refuses_what_json_refuses(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        json.loads(text)


@pytest.mark.parametrize("text", ['{"seq": 1, "time": "2026', '{"a": 1', '{"a" 1}', r'"\x"', '{"a":\x01}', '"\n"'])
def test_refuses_it_as_well_where_json_is_not_loaded(text: str) -> None:
    """As in a front, whose audit log may end in half a line after a power loss."""
    root = str(Path(json.__file__).parents[2])
    code = f"import sys; sys.path.insert(0, {root!r}); from gateway.base import json\n"
    code += f"try: json.loads({text!r})\nexcept ValueError: print('refused')"
    said = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "refused\n"


@pytest.mark.parametrize("value", [object(), {1: object()}, float("nan"), {(1,): 2}, b"bytes"])
def test_refuses_to_write_what_is_no_json(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        json.dumps(value)


def test_the_way_to_a_command_loads_nothing_dear() -> None:
    """json, re, enum and signal are 6 of the 10 ms that we would take (bench/commands.py)."""
    root = str(Path(json.__file__).parents[2])
    code = (
        f"import sys; sys.path.insert(0, {root!r}); import rshell.front.main, rshell.commands.ls; print(*sys.modules)"
    )
    said = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"json", "re", "enum", "signal", "collections", "socket", "typing", "dataclasses"} & set(said.split())


@given(_VALUES)
def test_an_interpreter_without_those_functions_gets_the_same(value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json, "_c_works", False)
        assert json.loads(json.dumps(value)) == value
    assert json._c_works, "this interpreter should have them: look at gateway/base/json.py"
