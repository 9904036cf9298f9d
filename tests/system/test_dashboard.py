"""docs/grafana.json and the table of metrics in the docs name the metrics that `enc-gateway metrics` prints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Gateway, admin

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"\benc_[a-z_]+")
DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs" / "grafana.json").read_text())


@pytest.fixture(scope="module")
def printed(gateway: Gateway) -> dict[str, str]:
    """The metrics of a gateway, with the kind of each."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", admin(gateway, "metrics").out, re.MULTILINE))


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_every_metric_of_the_dashboard_is_printed_and_every_printed_one_is_shown(
    printed: dict[str, str],
) -> None:
    named = {name for expression in expressions() for name in NAME.findall(expression)}
    assert named == set(printed)
    query = DASHBOARD["templating"]["list"][1]["query"]["query"]
    assert set(NAME.findall(query)) <= set(printed)


def test_counters_are_shown_as_rates_and_gauges_as_they_are(printed: dict[str, str]) -> None:
    for expression in expressions():
        (name,) = set(NAME.findall(expression))
        is_rate = bool(re.search(r"\b(rate|increase)\(", expression))
        assert is_rate == (printed[name] == "counter"), expression


def test_labels_in_expressions_and_legends_are_those_of_the_metric() -> None:
    page = (ROOT / "docs" / "administration.md").read_text()
    documented = dict(re.findall(r"`(enc_[a-z_]+)\{([a-z]+)\}`", page))
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            (name,) = set(NAME.findall(target["expr"]))
            grouped = set(re.findall(r"by \((\w+)\)", target["expr"]))
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) - {"instance"}
            assert grouped == legend <= {documented.get(name)}, target


def test_the_dashboard_has_the_structure_that_grafana_loads() -> None:
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= DASHBOARD.keys()
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "instance"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["type"] in ("stat", "timeseries", "table") and panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert [target["refId"] for target in panel["targets"]] == list("AB")[: len(panel["targets"])]
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


def test_every_printed_metric_is_documented(printed: dict[str, str]) -> None:
    page = (ROOT / "docs" / "administration.md").read_text()
    table = page.partition("| metric | what |")[2].partition("\n\n")[0]
    assert set(NAME.findall(table)) == set(printed)
