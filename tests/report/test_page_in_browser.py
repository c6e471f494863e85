"""The pages in headless Chromium with the network cut: nothing is asked for, nothing is complained about."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path as FilePath

import pytest
from made_answers import HOSTILE, cannot_tell, made_answer, made_facts, refused_answer
from made_questions import made_closure, made_exposure, made_worth

from rechannel.report.publish import write_report
from rechannel.vocabulary.wording import LANGUAGES

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-default-apps", "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0"),
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; `make ci-tools` brings it"),
]


@dataclass(frozen=True)
class Visit:
    """What a browser did with a page."""

    console: list[str]
    requests: list[str]
    dom: str


def visit(page: FilePath, folder: FilePath) -> Visit:
    """Open a page with the network cut; requests are those a page starts, from Chromium's own network log."""
    assert CHROMIUM is not None
    log = folder / "net.json"
    done = subprocess.run(
        [
            CHROMIUM,
            *QUIET,
            f"--user-data-dir={folder / 'profile'}",
            f"--log-net-log={log}",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "HOME": str(folder)},
    )
    raw = log.read_text(encoding="utf-8")
    try:
        logged = json.loads(raw)
    except json.JSONDecodeError:  # Chromium may leave the list open when it ends
        logged = json.loads(raw.rstrip().rstrip(",") + "]}")
    asked = [event.get("params", {}) for event in logged["events"]]
    requests = [p["url"] for p in asked if p.get("url", "").startswith("http") and p.get("initiator") == "null"]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Visit(console, requests, done.stdout)


def test_the_watch_sees_a_request_and_a_complaint(tmp_path: FilePath) -> None:
    page = tmp_path / "loud.html"
    page.write_text(
        "<img src='http://rechannel.invalid/a.png'><script>console.error('loud')</script>", encoding="utf-8"
    )
    seen = visit(page, tmp_path)
    assert any("rechannel.invalid" in url for url in seen.requests)
    assert any("loud" in line for line in seen.console)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_opens_without_a_request_or_a_complaint(language: str, tmp_path: FilePath) -> None:
    answers = (
        *(made_exposure(host=HOSTILE), made_closure(rival=HOSTILE), made_worth()),
        *(made_answer(rival=HOSTILE), cannot_tell(), refused_answer()),
    )
    write_report(answers, made_facts(HOSTILE), LANGUAGES, tmp_path)
    seen = visit(tmp_path / f"report.{language}.html", tmp_path)
    assert seen.console == []
    assert seen.requests == []
    assert seen.dom.count("<svg") == 2 * (1 + 4 + 4 + 2 + 1 + 1 + 4 + 1 + 3 + 3 + 2 + 2 + 3 + 2)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in seen.dom
    assert "<script" not in seen.dom
