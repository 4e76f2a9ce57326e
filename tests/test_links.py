"""The check of links to other servers: what is dead, what was not looked at. The server is one on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from baked import TEMPLATE
from servers import Quiet, served

SCRIPT = TEMPLATE / "scripts" / "links.py"
ANSWERS = {"/there": 200, "/moved": 301, "/gone": 410, "/absent": 404, "/no-programs": 403, "/broken": 500}


@dataclass
class Site:
    """Where it is, what was asked for, and how often it is busy before it answers."""

    address: str = ""
    asked: list[str] = field(default_factory=list)
    busy: int = 0


@pytest.fixture
def site() -> Iterator[Site]:
    running = Site()

    class Handler(Quiet):
        def answer(self) -> None:
            running.asked.append(self.path)
            status = ANSWERS.get(self.path, 200)
            if self.path == "/busy" and running.busy:
                running.busy, status = running.busy - 1, 503
            self.send_response(status)
            if status == 301:
                self.send_header("Location", "/there")
            self.send_header("Content-Length", "0")
            self.end_headers()

    with served(Handler) as address:
        # by a name that is no stand-in for an address of the reader's
        running.address = address.replace("127.0.0.1", "2130706433")
        yield running


def check(page: Path, *texts: str) -> tuple[int, str]:
    page.write_text("\n".join(texts))
    direct = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, str(SCRIPT), str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=direct)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_what_is_there_is_there(site: Site, tmp_path: Path) -> None:
    site.busy = 2
    text = f"[a]({site.address}/there#part) [b]({site.address}/moved) <{site.address}/busy>"
    status, output = check(tmp_path / "page.md", text, f'<img src="{site.address}/there">')
    assert (status, output) == (0, "3 of 3 links lead somewhere, 0 are dead, 0 were not looked at.\n")
    assert site.asked.count("/there") == 2  # once for itself, once for what has moved there


def test_what_is_gone_is_named_with_its_place(site: Site, tmp_path: Path) -> None:
    texts = [f"[a]({site.address}/there)", f"see [b]({site.address}/gone)", f"[c]({site.address}/absent)"]
    status, output = check(tmp_path / "page.md", *texts)
    assert status == 1
    assert f"dead: 410: {site.address}/gone ({tmp_path}/page.md:2)" in output
    assert f"dead: 404: {site.address}/absent ({tmp_path}/page.md:3)" in output
    assert "1 of 3 links lead somewhere, 2 are dead, 0 were not looked at." in output


def test_what_could_not_be_looked_at_is_said_to_be(site: Site, tmp_path: Path) -> None:
    refused, broken = f"{site.address}/no-programs", f"{site.address}/broken"
    status, output = check(tmp_path / "page.md", f"[a]({site.address}/there) [b]({refused}) [c]({broken})")
    assert status == 0
    assert f"not looked at: 403: {refused}" in output
    assert f"not looked at: 500: {broken}" in output
    assert "1 of 3 links lead somewhere, 0 are dead, 2 were not looked at." in output


def test_where_nobody_answers_nothing_is_well(site: Site, tmp_path: Path) -> None:
    status, output = check(tmp_path / "page.md", f"[b]({site.address}/no-programs)")
    assert (status, "0 of 1 links lead somewhere" in output) == (2, True)


def test_addresses_of_the_reader_are_none_of_ours(tmp_path: Path) -> None:
    text = "[a](https://HOST/org) [b](http://127.0.0.1:5000) [c](https://mlflow.example.org/x) [d](docs/x.md)"
    assert check(tmp_path / "page.md", text)[1].startswith("0 of 0")


def test_a_schedule_asks() -> None:
    """In CI, and not at each push: what others do to their pages is no fault of a change."""
    workflow = yaml.safe_load((TEMPLATE / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["links"]
    assert "schedule" in job["if"] and "schedule" in workflow[True]
    assert job["steps"][-1]["run"] == "make links"
    assert "scripts/links.py" in (TEMPLATE / "Makefile").read_text()
