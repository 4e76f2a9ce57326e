"""What scripts/ci asks of a service, and starts: again where it failed for a moment, with no more than is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from baked import TEMPLATE
from hosting import REPOSITORY, TOKEN, Host, host

SCRIPTS = TEMPLATE / "{{cookiecutter.project_slug}}" / "scripts" / "ci"
ISSUES = f"/repos/{REPOSITORY}/issues"
# by service: its variables, with {} for the address of the API; where issues are, and how their parts are called
SERVICES: dict[str, tuple[dict[str, str], str, str, str]] = {
    "github": (
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_SERVER_URL": "http://127.0.0.1",
            "GITHUB_API_URL": "{}",
            "GITHUB_RUN_ID": "99",
        },
        *(ISSUES, "body", "comments"),
    ),
    "gitlab": (
        {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": "{}",
            "CI_PROJECT_ID": "42",
            "CI_PROJECT_URL": "http://127.0.0.1",
            "CI_JOB_URL": "http://127.0.0.1/1",
            "CI_DEFAULT_BRANCH": "main",
        },
        *("/projects/42/issues", "description", "notes"),
    ),
}
BEGIN = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import steps; steps.PAUSES = (0, 0)\n"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Host]:
    with host(tmp_path) as made:
        yield made


def python(source: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", "-c", BEGIN + source]
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)


def asked(running: Host, method: str) -> subprocess.CompletedProcess[str]:
    url, header = f"{running.api}{ISSUES}?page=1", {"PRIVATE-TOKEN": TOKEN}
    document = {"title": "new"} if method == "POST" else None
    return python(f"import web; print(web.ask({method!r}, {url!r}, {header!r}, {document!r}))")


@pytest.mark.parametrize(("method", "status", "requests"), [("GET", 502, 3), ("POST", 503, 3), ("POST", 500, 1)])
def test_a_request_is_sent_again_unless_it_could_be_done_twice(
    running: Host, method: str, status: int, requests: int
) -> None:
    running.failures = [status] * 9
    done = asked(running, method)
    assert done.returncode == 1
    assert f"was refused ({status})" in done.stderr
    assert len(running.failures) == 9 - requests
    assert running.asked == []


def test_what_fails_for_a_moment_is_answered(running: Host) -> None:
    running.lists[ISSUES] = [{"title": "one"}]
    running.failures = [503, 429]
    assert asked(running, "GET").stdout == "[{'title': 'one'}]\n"


@pytest.mark.parametrize("service", SERVICES)
def test_one_issue_is_opened_written_again_and_closed(running: Host, tmp_path: Path, service: str) -> None:
    given, path, text, answers = SERVICES[service]
    event = tmp_path / "event.json"
    event.write_text("{}")
    variables = {name: value.format(running.api) for name, value in given.items()} | {"LINEAGE_CI_TOKEN": TOKEN}
    variables |= {"GITHUB_EVENT_PATH": str(event)} if service == "github" else {}
    running.lists[path] = [{"id": 1, "number": 1, "iid": 1, "state": "open", text: "Of somebody"}]

    def say(call: str) -> None:
        done = python(f"from service import service_here; service_here().{call}", **variables)
        assert done.returncode == 0, done.stderr

    say("no_issue('<!-- x -->', 'Right')")
    say("issue('<!-- x -->', 'Wrong', 'once')")
    say("issue('<!-- x -->', 'Wrong', 'twice')")
    foreign, issue = running.of(path)
    assert (issue[text], issue["state"]) == ("<!-- x -->\ntwice", "open")
    say("no_issue('<!-- x -->', 'Right again')")
    assert issue["state"] == "closed"
    assert [each["body"] for each in running.of(f"{path}/{issue['id']}/{answers}")] == ["Right again"]
    say("issue('<!-- x -->', 'Wrong', 'later')")  # one that was closed is not opened again
    assert len(running.of(path)) == 3
    assert foreign == {"id": 1, "number": 1, "iid": 1, "state": "open", text: "Of somebody"}


def test_a_stage_is_given_no_token_of_the_service() -> None:
    secrets = dict.fromkeys(("LINEAGE_CI_TOKEN", "GITHUB_TOKEN", "CI_JOB_TOKEN", "AWS_ID_TOKEN"), "s3cret")
    secrets |= dict.fromkeys(("LINEAGE_SIGNING_KEY", "LINEAGE_KEY_PASSWORD"), "s3cret")
    secrets["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "s3cret"
    show = "[sys.executable, '-c', 'import json, os; print(json.dumps(dict(os.environ)))']"
    done = python(
        f"steps.begin(); print(steps.ask(*{show})[1])", **secrets, AWS_REGION="", MLFLOW_TRACKING_TOKEN="kept"
    )
    given = json.loads(done.stdout)
    assert "s3cret" not in given.values()
    assert "AWS_REGION" not in given  # GitHub sets what has no value to an empty text
    assert given["MLFLOW_TRACKING_TOKEN"] == "kept"


def test_the_identity_token_is_fetched_again_while_a_training_goes_on(tmp_path: Path) -> None:
    source = """
import os, time, credentials, itertools
credentials.RENEW = 0.01
class Service:
    tokens = map(str, itertools.count())
    def identity_token(self):
        return next(self.tokens)
with credentials.aws_role(Service()):
    file = os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"]
    assert os.stat(os.path.dirname(file)).st_mode & 0o077 == 0
    deadline = time.monotonic() + 30
    while open(file).read() == "0":
        assert time.monotonic() < deadline
        time.sleep(0.01)
assert not os.path.exists(file) and "AWS_WEB_IDENTITY_TOKEN_FILE" not in os.environ
print("renewed")
"""
    done = python(source, AWS_ROLE_ARN="arn:aws:iam::1:role/x")
    assert done.stdout == "renewed\n", done.stderr
