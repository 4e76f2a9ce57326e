"""What scripts/ci asks of a service, and starts: again where it failed for a moment, with no more than is needed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from baked import TEMPLATE
from hosting import ELSE, OWN, REPOSITORY, TOKEN, Host, host

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
            "GITHUB_GRAPHQL_URL": "{}/graphql",
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
PULL = {
    "number": 7,
    "head": {"ref": "b", "sha": "abcdef0123456789", "repo": {"full_name": REPOSITORY}},
    "base": {"ref": "main"},
}
BEGIN = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import steps; steps.PAUSES = (0, 0)\n"


@pytest.fixture(scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with host(tmp_path_factory.mktemp("host")) as made:
        yield made


@pytest.fixture
def running(_running: Host) -> Host:
    """The host, to which nobody has said anything yet."""
    _running.lists, _running.failures, _running.asked = {}, [], []
    return _running


def python(source: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    command, around = [sys.executable, "-B", "-c", BEGIN + source], {**os.environ, **variables}
    return subprocess.run(command, cwd=cwd, env=around, capture_output=True, text=True, check=False)


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


@pytest.fixture
def say(running: Host, tmp_path: Path) -> Callable[[str, str], None]:
    """Has a service say something, in a job about pull request 7."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))

    def said(service: str, call: str) -> None:
        variables = {name: value.format(running.api) for name, value in SERVICES[service][0].items()}
        variables |= {"LINEAGE_CI_TOKEN": TOKEN, "GITHUB_EVENT_PATH": str(event), "CI_MERGE_REQUEST_IID": "7"}
        done = python(f"from service import service_here; service_here().{call}", **variables)
        assert done.returncode == 0, done.stderr

    return said


@pytest.mark.parametrize(
    ("service", "path"), [("github", f"{ISSUES}/7/comments"), ("gitlab", "/projects/42/merge_requests/7/notes")]
)
def test_one_comment_is_written_and_written_again(
    running: Host, say: Callable[[str, str], None], service: str, path: str
) -> None:
    others = [{"id": 11, "body": "Nice", **OWN}, {"id": 12, "body": "<!-- x -->\nVerify: PASS", **ELSE}]
    running.lists[path] = [dict(each) for each in others]
    for text in ("once", "twice"):
        say(service, f"comment('<!-- x -->', {text!r})")
    *before, comment = running.of(path)
    assert (before, comment["body"]) == (others, "<!-- x -->\ntwice")


def test_a_job_that_ends_early_takes_back_what_an_earlier_one_said(running: Host, tmp_path: Path) -> None:
    path = f"{ISSUES}/7/comments"
    running.lists[path] = [{"id": 1, "body": "<!-- lineage report -->\nVerify: **PASS**", **OWN}]
    (tmp_path / "event.json").write_text(json.dumps({"repository": {"default_branch": "main"}, "pull_request": PULL}))
    variables = {name: value.format(running.api) for name, value in SERVICES["github"][0].items()}
    variables |= {"LINEAGE_CI_TOKEN": TOKEN, "GITHUB_EVENT_PATH": str(tmp_path / "event.json")}
    source = (
        "import pull_request; from service import service_here; pull_request.run(service_here(), as_committed=True)"
    )
    done = python(source, tmp_path, **variables)  # where there is no clone to look into
    assert done.returncode == 1
    (comment,) = running.of(path)
    assert "PASS" not in comment["body"]
    assert "There is no report about this commit: `git " in comment["body"]
    assert "About commit abcdef012345: http://127.0.0.1/org/digits/actions/runs/99" in comment["body"]


@pytest.mark.parametrize("service", SERVICES)
def test_one_issue_is_opened_written_again_and_closed(
    running: Host, say: Callable[[str, str], None], service: str
) -> None:
    _, path, text, answers = SERVICES[service]
    others = [
        {"id": 11, "number": 11, "iid": 11, "state": "open", text: "Of the same", **OWN},
        {"id": 12, "number": 12, "iid": 12, "state": "open", text: "<!-- x -->\nAll is right", **ELSE},
    ]
    running.lists[path] = [dict(each) for each in others]
    say(service, "no_issue('<!-- x -->', 'Right')")
    say(service, "issue('<!-- x -->', 'Wrong', 'unknown', opens=False)")
    assert running.of(path) == others
    say(service, "issue('<!-- x -->', 'Wrong', 'once')")
    say(service, "issue('<!-- x -->', 'Wrong', 'twice', opens=False)")
    *before, issue = running.of(path)
    assert (before, issue[text], issue["state"]) == (others, "<!-- x -->\ntwice", "open")
    say(service, "no_issue('<!-- x -->', 'Right again')")
    assert issue["state"] == "closed"
    assert [each["body"] for each in running.of(f"{path}/{issue['id']}/{answers}")] == ["Right again"]
    say(service, "issue('<!-- x -->', 'Wrong', 'later')")  # one that was closed is not opened again
    assert len(running.of(path)) == 4
    assert running.of(path)[:2] == others


def test_a_stage_is_given_no_token_of_the_service() -> None:
    secrets = dict.fromkeys(("LINEAGE_CI_TOKEN", "LINEAGE_MAIN_TOKEN", "GITHUB_TOKEN"), "s3cret")
    secrets |= dict.fromkeys(("CI_JOB_TOKEN", "AWS_ID_TOKEN", "LINEAGE_SIGNING_KEY", "LINEAGE_KEY_PASSWORD"), "s3cret")
    secrets["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "s3cret"
    show = "[sys.executable, '-c', 'import json, os; print(json.dumps(dict(os.environ)))']"
    done = python(
        f"steps.begin(); print(steps.ask(*{show})[1])", **secrets, AWS_REGION="", MLFLOW_TRACKING_TOKEN="kept"
    )
    given = json.loads(done.stdout)
    assert "s3cret" not in given.values()
    assert "AWS_REGION" not in given  # GitHub sets what has no value to an empty text
    assert given["MLFLOW_TRACKING_TOKEN"] == "kept"


def test_a_key_that_comes_as_text_is_a_file_while_it_signs(tmp_path: Path) -> None:
    source = """
import os, attest
from pathlib import Path
with attest._files() as options:
    key, chain = Path(options[1]), options[3]
    assert options[::2] == ["--key", "--chain"]
    assert key.read_text().startswith("-----BEGIN PRIVATE KEY-----\\nx")
    assert key.parent.stat().st_mode & 0o077 == 0
assert not key.exists()
print(chain)
"""
    given = tmp_path / "chain.pem"  # as GitLab's variables of type file are
    done = python(source, LINEAGE_SIGNING_KEY="-----BEGIN PRIVATE KEY-----\nx", LINEAGE_SIGNING_CHAIN=str(given))
    assert done.stdout == f"{given}\n", done.stderr


def test_the_identity_token_is_fetched_again_while_a_training_goes_on(tmp_path: Path) -> None:
    source = """
import os, time, credentials, itertools
credentials.RENEW = credentials.AGAIN = 0.01
class Service:
    tokens = map(str, itertools.count())
    def identity_token(self):
        if (number := next(self.tokens)) in ("1", "2"):
            raise (steps.StopError if number == "1" else OSError)("not now")
        return number
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
    *failed, last = done.stdout.splitlines()
    assert (len(failed), last) == (2, "renewed"), done.stderr
    assert all("was not renewed, which is tried again: not now" in line for line in failed)


STAGE = """
import pathlib, signal, subprocess, sys, time
child = [sys.executable, "-c", "import pathlib, time; pathlib.Path('begun').touch(); time.sleep(60)"]
try:
    subprocess.run(child)
except KeyboardInterrupt:
    pathlib.Path("stopped").touch()
    raise SystemExit(1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_cancels_the_shell_of_a_job_reaches_the_stage(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "job.py").write_text(f"{BEGIN}print(steps.run(sys.executable, 'stage.py', tries=3))\n")
    # as the workflows have it, and as the services call it
    command = ["bash", "-e", "-c", f"exec {sys.executable} -B job.py"]
    options = {"cwd": tmp_path, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    heard = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # also if these tests run behind a `&`
    with subprocess.Popen(command, **options, preexec_fn=heard) as shell:
        deadline = time.monotonic() + 60
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < deadline
            assert shell.poll() is None
            time.sleep(0.01)
        shell.send_signal(number)  # to it alone
        said = shell.communicate(timeout=60)[0]
    assert (tmp_path / "stopped").exists()
    assert shell.returncode == 128 + number
    assert said.count("$ ") == 1  # it is not tried again
    assert f"cancelled by signal {int(number)}" in said


def test_what_may_be_accepted_is_one_line_or_several() -> None:
    text = "comparison: by site B; agreed\n\ndrift: a new scanner; weights : known"
    done = python(f"import promote; print(*promote.accepted({text!r}), promote.accepted(' '), sep='|')")
    assert done.stdout == "comparison: by site B; agreed|drift: a new scanner|weights : known|[]\n", done.stderr


@pytest.mark.parametrize(
    ("states", "right"),
    [
        ({"hook": "right", "objects": "right"}, True),
        ({"hook": "unknown", "objects": "right"}, True),
        ({"hook": "right", "objects": "unknown"}, True),
        ({"promotions": "unknown", "objects": "unknown"}, None),
        ({"promotions": "unknown", "objects": "right"}, None),
        ({"promotions": "unknown", "objects": "wrong"}, False),
    ],
)
def test_nobody_says_that_all_is_right_while_doctor_cannot_look(states: dict[str, str], right: bool | None) -> None:
    findings = [{"check": name, "state": state, "text": "", "fix": ""} for name, state in states.items()]
    done = python(f"import checks; print(*checks.wrong(0, {json.dumps(findings)!r}), sep='\\n')")
    found, lines = done.stdout.splitlines()
    assert found == str(right), done.stderr
    unknown, wrong = (sum(state == one for state in states.values()) for one in ("unknown", "wrong"))
    assert f"{wrong} of {2 - unknown} checks find something wrong; {unknown} could not look." in lines
    assert all(f"| {name} | {state} |" in lines for name, state in states.items() if state != "right")


@pytest.mark.parametrize(
    ("status", "said", "right"),
    [
        (0, "PASS: 3", True),
        (1, "FAIL: x", False),
        (2, "INCONCLUSIVE: 1", None),
        (2, "", False),
        (3, "x", False),
    ],
)
def test_a_log_that_lacks_something_is_neither_right_nor_wrong(status: int, said: str, right: bool | None) -> None:
    done = python(f"import checks; print(checks.logged({status}, {said!r})[0])")
    assert done.stdout == f"{right}\n", done.stderr


def test_a_model_whose_records_were_erased_is_not_red() -> None:
    done = python("from results import without_erased; print(*map(without_erased, (0, 1, 2, 3)))")
    assert done.stdout.splitlines()[-1] == "0 1 2 0", done.stderr
