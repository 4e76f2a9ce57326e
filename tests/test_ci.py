"""The jobs of CI, run as the services run them: the commands of the YAML, in shallow clones, with their variables.

Against a host of Git with the APIs of both services, an MLflow server and the stand-in for S3, all on 127.0.0.1.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aws_standin.place import client_of
from baked import Project, bake, remove_hooks, use_perceptron
from command import Lineage
from framework.certificates import key_pair, pem, private_pem
from hosting import (
    ELSE,
    OWN,
    REPOSITORY,
    TOKEN,
    USERS,
    Host,
    check_out,
    host,
    run_steps,
    steps_of_github,
    steps_of_gitlab,
    warm_commands,
)
from servers import aws_standin, mlflow_server

MODEL = "traceable-digits"
COMMENTS, ISSUES = f"/repos/{REPOSITORY}/issues/7/comments", f"/repos/{REPOSITORY}/issues"
NOTES, GITLAB_ISSUES = "/projects/42/merge_requests/7/notes", "/projects/42/issues"
SETTINGS = (
    *("train=debug", "data.columns=[site]", "evaluate.slices=[site]"),
    *("promotion.comparison.margin=0.9", "promotion.comparison.slice_margin=0.9"),
    *("privacy=registry", "privacy.registry.path=s3://the-data/consent.csv"),
)
REGION, ROLE = "eu-central-1", "arn:aws:iam::123456789012:role/ci"


@dataclass
class Site:
    """All that runs, and the project as its owner has it, with the first model on main."""

    host: Host
    project: Project
    folder: Path
    venv: Path
    tracking: str
    s3: Any
    numbers: Iterator[int]

    def ask_for_consent(self, *revoked: int) -> None:
        """Writes the consent registry, which the digits' 320 subjects are in."""
        said = {number: "revoked" if number in revoked else "active" for number in range(1, 321)}
        rows = [f"PAT-{number:05d},{status},2024-01-31T08:30:00Z" for number, status in said.items()]
        text = "\n".join(["subject_id,consent_status,effective_at", *rows, ""])
        self.s3.put_object(Bucket="the-data", Key="consent.csv", Body=text.encode())

    def push(self, branch: str) -> str:
        """Pushes the last commit to a branch of the host, as its owner. Returns the commit."""
        self.project.git("push", "--quiet", "--force", str(self.host.bare), f"HEAD:refs/heads/{branch}")
        return self.project.git("rev-parse", "HEAD")

    def bring(self, branch: str) -> str:
        """Brings a branch of the host, and checks it out. Returns its commit."""
        self.project.git("fetch", "--quiet", "--tags", str(self.host.bare), branch)
        self.project.git("checkout", "--quiet", "-B", branch, "FETCH_HEAD")
        return self.project.git("rev-parse", "HEAD")

    def clone(self, service: str, commit: str) -> Project:
        """The clone of a runner, which has no keys for AWS: it takes a role, by the identity token of the service."""
        around = {name: value for name, value in self.project.environment.items() if not name.startswith("AWS_ACCESS")}
        around = {name: value for name, value in around.items() if not name.startswith("AWS_SECRET")}
        clone = Project(self.folder / f"job{next(self.numbers)}", self.venv, around)
        # GitLab's runner leaves its own token in the address
        address = self.host.github if service == "github" else self.host.gitlab.replace("://", "://gitlab-ci-token:x@")
        check_out(f"{address}/{REPOSITORY}", USERS[service], commit, clone)
        return clone

    def github(
        self, workflow: str, job: str, event: dict[str, Any], commit: str, inputs: dict[str, str] | None = None
    ) -> tuple[int, str, Project]:
        """Status and output of a job of GitHub Actions, and its clone."""
        clone = self.clone("github", commit)
        event = {"repository": {"default_branch": "main"}, **event}
        (clone.root.parent / "event.json").write_text(json.dumps(event))
        summary = clone.root.with_suffix(".summary")
        known = {"github.token": TOKEN, "vars.AWS_REGION": REGION, "vars.AWS_ROLE_ARN": ROLE}
        steps = steps_of_github(clone.root / ".github" / "workflows" / workflow, job, known | (inputs or {}))
        clone.environment |= {
            "GITHUB_ACTIONS": "true",
            "CI": "true",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_SERVER_URL": self.host.github,
            "GITHUB_API_URL": self.host.api,
            "GITHUB_GRAPHQL_URL": f"{self.host.api}/graphql",
            "GITHUB_RUN_ID": "99",
            "GITHUB_EVENT_PATH": str(clone.root.parent / "event.json"),
            "GITHUB_REF_NAME": "7/merge" if "pull_request" in event else "main",
            "GITHUB_SHA": commit,
            "GITHUB_TRIGGERING_ACTOR": "grace",
            "GITHUB_STEP_SUMMARY": str(summary),
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.host.api}/token?of=job",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-runner",
        }
        return *run_steps(clone, steps, "bash -e -c"), clone

    def pull_request(self, branch: str, commit: str, of: str = REPOSITORY) -> tuple[int, str, Project]:
        head = {"ref": branch, "sha": commit, "repo": {"full_name": of}}
        pull = {"number": 7, "head": head, "base": {"ref": "main"}}
        return self.github("model.yml", "pull-request", {"pull_request": pull}, commit)

    def gitlab(self, job: str, commit: str, **variables: str) -> tuple[int, str]:
        """Status and output of a job of GitLab CI."""
        clone = self.clone("gitlab", commit)
        clone.environment |= {
            "GITLAB_CI": "true",
            "CI": "true",
            "CI_API_V4_URL": self.host.api,
            "CI_PROJECT_ID": "42",
            "CI_PROJECT_URL": f"{self.host.gitlab}/{REPOSITORY}",
            "CI_SERVER_URL": self.host.gitlab,
            "CI_SERVER_HOST": "127.0.0.1",
            "CI_JOB_URL": "http://127.0.0.1/jobs/1",
            "CI_DEFAULT_BRANCH": "main",
            "CI_COMMIT_SHA": commit,
            "CI_JOB_TOKEN": "of-the-job",
            "LINEAGE_CI_TOKEN": TOKEN,
            "AWS_ROLE_ARN": ROLE,
            "AWS_ID_TOKEN": "jwt of the job",
            "GITLAB_USER_NAME": "Grace Hopper",
            "GITLAB_USER_LOGIN": "grace",
            "GITLAB_USER_EMAIL": "grace@example.org",
            **variables,
        }
        text = (clone.root / ".gitlab-ci.yml").read_text()
        return run_steps(clone, steps_of_gitlab(text, job), "bash -eo pipefail -c")


@pytest.fixture(scope="module")
def site(installed: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A project whose data are in S3 and whose models are on a server; the tests change it in turn."""
    folder = tmp_path_factory.mktemp("site")
    with aws_standin(folder, {}) as endpoint:
        keys = {"AWS_ACCESS_KEY_ID": "owner", "AWS_SECRET_ACCESS_KEY": "s3cret"}
        where = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        client = client_of("s3", endpoint, REGION)
        for bucket in ("the-data", "the-artifacts"):
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        places = {"dvc_remote_url": "s3://the-data/dvc", "mlflow_tracking_uri": "https://mlflow.example.org"}
        root = bake(folder, ci="github", ci_jobs="train", **places)
        # one project for both services: GitLab's reports what was committed
        other = bake(folder / "other", ci="gitlab", ci_jobs="report", **places)
        shutil.copy(other / ".gitlab-ci.yml", root)
        remove_hooks(root)
        use_perceptron(root)
        project = Project(root, installed.venv, {**installed.environment, **keys, **where})
        with (
            mlflow_server(project, folder / "mlflow.db", "s3://the-artifacts/mlflow") as tracking,
            host(folder / "host") as running,
            warm_commands(folder / "runner", project, lineage) as venv,
        ):
            made = Site(running, project, folder, venv, tracking, client, count())
            made.ask_for_consent()
            project.compose(*SETTINGS, f"tracking.uri={tracking}")
            project.dvc("repro")
            project.commit("First model")
            project.dvc("push", "--quiet")
            made.push("main")
            lineage(project, "link")
            yield made


def blob(site: Site, url: str) -> str:
    """The file that an address of the host shows."""
    commit, _, name = url.rpartition("/raw/")[2].partition("/")
    return site.host.says("show", f"{commit}:{name}")


def test_a_pull_request_is_trained_pushed_and_reported(site: Site, lineage: Lineage) -> None:
    project, store = site.project, site.project.store(site.tracking)
    project.git("checkout", "--quiet", "-b", "other-seed")
    project.compose(*SETTINGS, "train.seed=5", f"tracking.uri={site.tracking}")
    project.commit("Another seed")
    asked = site.push("other-seed")
    status, output, _ = site.pull_request("other-seed", asked)
    assert status == 0, output

    # what ran is a commit on the branch, with its objects in the remote, and a tag that keeps it
    result = site.bring("other-seed")
    assert project.git("log", "--format=%s", f"{asked}..{result}") == f"Results of {asked[:12]}"
    changed = project.git("diff", "--name-only", asked, result).split()
    assert set(changed) == {"dvc.lock", "lineage.json"}
    assert site.host.says("rev-parse", f"registered/{MODEL}-2") == result
    assert str(project.lineage["model"]["version"]) == "2"
    assert store.candidate() == "1"  # until it is on main
    version = store.client.get_model_version(MODEL, "2")
    assert version.tags["result_git_commit_id"] == result
    assert TOKEN not in output

    # one comment, with the verdict, the scores and the plots, and without anybody's ids
    (comment,) = site.host.of(COMMENTS)
    body = comment["body"]
    assert body.startswith("<!-- lineage report -->\n## The model of `HEAD")
    assert "Verify: **PASS** models:/traceable-digits/2" in body
    assert "Accuracy on the same records: " in body
    assert "Drift: none, the dataset version is the same" in body
    assert "Slices: 1 (site)" in body
    assert "Cost of jobs: no job was paid for" in body
    assert "| train.seed | " in body
    sites = [row.split(" | ") for row in re.findall(r"\n\| (site .*) \|", body.partition("<details>")[0])]
    assert sites
    assert all(int(row[3]) >= 10 for row in sites if len(row) > 3 and row[3])
    assert re.search(r"\| site \| \d values? of fewer than 10 subjects: not shown \|", body), sites
    assert not re.search(r"(PAT|SCAN)-\d", body)
    drawn = re.findall(r"!\[.*?\]\((.*?)\)", body)
    assert {url.rpartition("/")[2] for url in drawn} >= {"a-confusion.svg", "b-confusion.svg", "b-slices.svg"}
    assert all(blob(site, url).startswith("<svg") for url in drawn)

    # once more: nothing is left to run, and the comment is written again; a job at SageMaker would have left its tags
    (trained,) = [run for run in store.runs("train") if run.info.run_id == version.tags["training_run_id"]]
    for name, value in (("job_name", "digits-train-1"), ("instance_type", "ml.m5.large"), ("billable_seconds", "61")):
        store.client.set_tag(trained.info.run_id, f"sagemaker_{name}", value)
    comment["body"] = comment["body"][:200]
    site.host.lists[COMMENTS][:0] = [{"id": 50, "body": "Nice", **ELSE}, {"id": 51, "body": body, **ELSE}]
    site.host.lists[COMMENTS].append({"id": 52, "body": body, **ELSE})  # which Eve may change when the job has gone
    status, output, clone = site.pull_request("other-seed", result)
    assert status == 0, output
    assert "Nothing is committed" in output
    assert not (clone.root / "data" / "raw").exists()  # what no stage needs is not fetched
    assert site.bring("other-seed") == result
    assert len(store.versions()) == 2
    assert [each["body"] == body for each in site.host.of(COMMENTS)] == [False, True, False, True]
    assert f"About commit {result[:12]}: {site.host.github}/{REPOSITORY}/actions/runs/99\n" in comment["body"]
    assert "- Cost of jobs: 1 job, 61 s billed, for each instance" in comment["body"]
    assert re.search(r"\| train \| digits-train-1 \(ml\.m5\.large\) \| \d+ s \| 61 \|", comment["body"])


def test_what_a_pull_request_must_not_do(site: Site) -> None:
    asked = site.bring("other-seed")
    before = len(site.host.asked)
    status, output, _ = site.pull_request("other-seed", asked, of="somebody/digits")
    assert (status, "this comes from a fork" in output) == (1, True)
    assert len(site.host.asked) == before
    said = [each["body"] for each in site.host.of(COMMENTS)]
    status, output, _ = site.pull_request("other-seed", site.project.git("rev-parse", "HEAD~1"))
    assert (status, "has gone on after" in output) == (1, True)
    assert [each["body"] for each in site.host.of(COMMENTS)] == said  # that of the newest commit


def test_main_is_linked_verified_and_attested_and_what_the_registry_lacks_is_registered(
    site: Site, lineage: Lineage, tmp_path: Path
) -> None:
    project, store, key = site.project, site.project.store(site.tracking), key_pair()
    secret = {"secrets.LINEAGE_SIGNING_KEY": private_pem(key).decode()}
    merged = site.bring("other-seed")
    site.push("main")
    status, output, _ = site.github("model.yml", "main", {}, merged)
    assert status == 0, output
    assert "1 of 1 models proved" in output
    assert f"Not attested: this job has no LINEAGE_SIGNING_KEY. models:/{MODEL}/2 is verified" in output
    assert store.candidate() == "2"

    # a key that nobody trusts
    status, output, _ = site.github("model.yml", "main", {}, merged, secret)
    assert (status, "the attestation is not pushed" in output) == (1, True), output
    assert site.bring("main") == merged

    # one that is trusted; and a registry that never had the model
    public = tmp_path / "signing.pub"
    public.write_bytes(pem(key.public_key()))
    lineage(project, "keys", "add", str(public), "--reason", "of CI")
    lineage(project, "log", "update")  # from now on there is a log
    project.git("add", "log")
    trusted = project.commit("Trust the key of CI")
    site.push("main")
    store.client.delete_registered_model_alias(MODEL, "candidate")
    store.client.delete_model_version(MODEL, "2")
    for tag in ("candidate_commit", "candidate_identity"):
        store.client.delete_registered_model_tag(MODEL, tag)
    status, output, _ = site.github("model.yml", "main", {}, trusted, secret)
    assert status == 0, output
    assert project.git("log", "--reverse", "--format=%s", f"{trusted}..{site.bring('main')}").splitlines() == [
        f"Register the model of {trusted[:12]}",
        f"Attest models:/{MODEL}/3",
        "Log what was registered, decided, erased, attested and certified",
    ]
    assert lineage.ask(project, "log", "check")[0] == 0
    assert store.candidate() == "3"
    assert lineage.verify(project, f"models:/{MODEL}/3").link("attestation")["state"] == "PASS"
    assert "PRIVATE KEY" not in output


def test_nightly_checks_open_an_issue(site: Site) -> None:
    head = site.bring("main")
    md5 = site.project.out("train", "models/model.safetensors")
    key = f"dvc/files/md5/{md5[:2]}/{md5[2:]}"
    kept = site.s3.get_object(Bucket="the-data", Key=key)["Body"].read()
    site.s3.delete_object(Bucket="the-data", Key=key)
    site.ask_for_consent(17, 23)
    status, output, _ = site.github("checks.yml", "checks", {}, head)
    site.s3.put_object(Bucket="the-data", Key=key, Body=kept)
    site.ask_for_consent()
    assert status == 1, output
    (issue,) = site.host.of(ISSUES)
    assert "DVC remote FAIL" in issue["body"]
    assert "models and runs rest on records that may not be used any more." in issue["body"]
    assert re.search(rf"\| `models:/{MODEL}/1` \| 2 \| \d+ \|", issue["body"]), issue["body"]
    assert issue["body"].count("### `lineage ") == 4
    assert "- PASS: " in issue["body"].partition("### `lineage log check`")[2]
    assert re.search(r"\d of \d+ checks find something wrong; \d could not look\.", issue["body"])
    assert issue["labels"] == ["lineage"]
    assert not re.search(r"(PAT|SCAN)-\d", issue["body"])


def test_a_promotion_is_decided_in_the_name_of_who_approved_it(site: Site) -> None:
    head = site.bring("main")
    inputs = {"inputs.version": f"models:/{MODEL}@candidate", "inputs.alias": "champion", "inputs.deploy": "false"}
    for wrong in ("--help", "models:/x/1; touch y", ""):
        status, output, _ = site.github("promote.yml", "promote", {}, head, {**inputs, "inputs.version": wrong})
        assert (status, "is no version" in output) == (1, True), output
    store = site.project.store(site.tracking)
    number = store.candidate()
    site.host.approvals = [{"state": "approved", "user": {"login": "ada"}}]
    status, output, _ = site.github("promote.yml", "promote", {}, head, inputs)
    assert status == 0, output
    assert site.bring("main") != head
    assert site.project.git("log", "--reverse", "--format=%s; %cn", f"{head}..").splitlines() == [
        f"Promote models:/{MODEL}/{number} to champion; Ada Lovelace (ada)",
        "Log what was registered, decided, erased, attested and certified; Ada Lovelace (ada)",
    ]
    decision = json.loads((site.project.root / "promotions" / MODEL / "champion-0001.json").read_text())
    assert decision["by"] == "Ada Lovelace (ada) <1815+ada@users.noreply.github.com>"
    assert str(store.client.get_model_version_by_alias(MODEL, "champion").version) == number

    # it is there already: nothing is decided; whoever starts it is named where nobody has to approve
    site.host.approvals = []
    status, output, _ = site.github(
        "promote.yml", "promote", {}, site.bring("main"), {**inputs, "inputs.deploy": "true"}
    )
    assert "has the alias champion already" in output
    assert f"$ lineage deploy models:/{MODEL}@champion" in output
    assert "GET /users/grace" in site.host.asked
    assert status != 0  # there is no image to deploy with: tests/test_serving.py deploys


def test_a_decision_that_main_does_not_take_is_not_lost(site: Site) -> None:
    head = site.bring("main")
    hook = site.host.bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nwhile read old new ref; do [ $ref != refs/heads/main ] || exit 1; done\n")
    hook.chmod(0o755)
    status, output = site.gitlab(
        "promote", head, PROMOTE_VERSION=f"models:/{MODEL}/1", PROMOTE_ALIAS="champion", PROMOTE_ACCEPT="all: looked at"
    )
    assert status == 1, output
    (branch,) = re.findall(r"on the branch (promotion/champion-[0-9a-f]{12}): merge that", output)
    hook.unlink()
    site.project.git("fetch", "--quiet", str(site.host.bare), branch)
    site.project.git("merge", "--quiet", "--ff-only", "FETCH_HEAD")
    site.push("main")
    decision = json.loads((site.project.root / "promotions" / MODEL / "champion-0002.json").read_text())
    assert (decision["by"], decision["version"]["number"]) == ("Grace Hopper (grace) <grace@example.org>", "1")
    site.host.lists[GITLAB_ISSUES] = [
        {"id": 1, "iid": 1, "state": "open", "description": "<!-- lineage checks -->\nWrong", **OWN}
    ]
    status, output = site.gitlab("lineage-checks", site.bring("main"))
    assert (status, site.host.of(GITLAB_ISSUES)[0]["state"]) == (0, "closed"), output
    assert "All is right again" in site.host.of(f"{GITLAB_ISSUES}/1/notes")[0]["body"]


def test_gitlab_reports_what_was_committed(site: Site) -> None:
    project = site.project
    site.bring("main")
    project.git("checkout", "--quiet", "-b", "committed")
    project.compose(*SETTINGS, "train.seed=8", f"tracking.uri={site.tracking}")
    commit = project.commit("Not trained")
    site.push("committed")
    request = {
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "committed",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "42",
    }
    status, output = site.gitlab("merge-request", commit, **{**request, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "43"})
    assert (status, "this comes from a fork" in output, site.host.of(NOTES)) == (1, True, [])
    status, output = site.gitlab("merge-request", commit, **request)
    assert status == 0, output
    (note,) = site.host.of(NOTES)
    assert "Verify: **PASS**" in note["body"]
    assert "- **Not run** with what the commit holds: " in note["body"]
    assert "train: train.seed is 8, it ran with 5" in note["body"]
    drawn = re.findall(r"!\[.*?\]\((.*?)\)", note["body"])
    assert drawn
    assert all("/-/raw/" in url and blob(site, url).startswith("<svg") for url in drawn)

    assert site.host.says("rev-parse", "committed") == commit

    signs = {"LINEAGE_SIGNING_KEY": private_pem(key_pair()).decode()}  # of others than the first, which has signed
    status, output = site.gitlab("main", main := site.bring("main"), CI_COMMIT_BRANCH="main", **signs)
    assert (status, site.bring("main")) == (0, main), output
    assert "1 of 1 versions of this commit have an attestation." in output


def test_by_hand_it_shows_the_same_and_writes_nothing(site: Site) -> None:
    project = site.project
    site.bring("committed")
    project.git("remote", "add", "origin", str(site.host.bare))
    project.git("fetch", "--quiet", "origin")
    project.git("remote", "set-head", "origin", "main")
    refs, written = site.host.says("for-each-ref"), len(site.host.asked)
    output = project.run(str(site.venv / "bin" / "python"), "scripts/ci", "pull-request", code=0)
    assert "Verify: **PASS**" in output
    said = project.run(str(site.venv / "bin" / "python"), "scripts/ci", "main", code=1)
    assert "committed is not the default branch main" in said
    assert (site.host.says("for-each-ref"), len(site.host.asked)) == (refs, written)
    assert project.git("status", "--porcelain") == ""
