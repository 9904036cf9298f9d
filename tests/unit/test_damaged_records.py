"""A log that was overwritten, or is none: what reads it says so, and ends as it should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import cli
from gateway.admin import usage
from gateway.audit import query
from gateway.audit.report import timeline
from gateway.audit.report.summary import Span
from gateway.audit.tally import Tally

TIMES = ["x", "", "2026-02-31T00:00:00Z", "2026-11-26T00:00:00Z", "9" * 400, "\x1b[31m"]


@pytest.mark.parametrize("began", TIMES)
@pytest.mark.parametrize("ended", TIMES)
def test_a_time_that_is_none_is_not_drawn(began: str, ended: str) -> None:
    def span(project: str, at: str, until: str) -> Span:
        return Span(
            session="s", principal="p", fingerprint="", address="", port="", project=project, began=at, ended=until
        )

    good = span("", "2026-11-26T00:00:00Z", "2026-11-26T01:00:00Z")
    drawn = timeline.svg([span("", began, ended), good], [span("v", began, ended)], began, ended)
    assert drawn.count('class="session"') == 1 + (began == TIMES[3])
    assert timeline.svg([span("", "x", "")], [], "x", "x") == ""


def test_a_report_is_written_of_a_log_with_such_times(tmp_path: Path) -> None:
    log, report = tmp_path / "log", tmp_path / "report.html"
    events = ("session-opened", "unlocked", "locked", "session-closed", "request")
    lines = [{"seq": 1, "time": time, "event": event, "session": "s"} for time in TIMES for event in events]
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = CliRunner().invoke(cli.main, ["audit", "report", str(report), "--file", str(log)])
    assert done.exception is None and done.exit_code == 0, done
    assert "NOT verified" in done.output and report.exists()


@pytest.mark.parametrize("newest", TIMES)
def test_the_newest_record_of_a_metric_may_have_no_time(newest: str) -> None:
    tally = Tally()
    tally.newest = newest
    assert query.moment(tally.newest) >= 0


def test_an_error_is_one_line_of_text_whatever_it_names(capsys: pytest.CaptureFixture[str]) -> None:
    usage._failed("usage", "a names 2 keys", "name one of them: SHA256:x \x1b]0;owned\x07\nenc-gateway: fine", 64)
    said = capsys.readouterr().err
    assert said.removesuffix("\n").isprintable() and "owned" in said
