"""The interface in Python, as docs/python.md of a project shows it, beside what the commands say."""

from __future__ import annotations

import json

import pytest
from baked import TEMPLATE, Project
from manual.blocks import blocks

PAGE = TEMPLATE / "{{cookiecutter.project_slug}}" / "docs" / "python.md"
ASK = """
import json, sys
from datetime import UTC, datetime
from lineage.api import ProjectError, audit, diff, trace, verify

def refusal(ask):
    try:
        ask()
    except (ProjectError, ValueError) as error:
        return f"{type(error).__name__}: {error}"

one, two, who = sys.argv[1:]
proof, everything = verify(one), verify()
used, since, later = audit(who), audit(who, since="2020-01-01"), audit(who, since=datetime.now(UTC))
print(json.dumps({
    "trace": trace(one).document,
    "chain": json.loads(trace(one).table().to_json(orient="records")),
    "state": proof.state,
    "links": json.loads(proof.table().to_json(orient="records")),
    "all": [everything.state, sorted({*everything.table()["model"]})],
    "audit": [used.state, used.looked_at, json.loads(used.table().to_json(orient="records"))],
    "since": [since.state, len(since.table())],
    "later": [later.state, len(later.table()), len(later.reasons)],
    "diff": json.loads(diff(one, two).table().to_json(orient="records")),
    "refused": [
        refusal(lambda: verify("models:/nothing/1")),
        refusal(lambda: audit(who, since="soon")),
        refusal(lambda: audit(" ")),
        refusal(lambda: audit(who, since="2100-01-01")),
    ],
}))
"""


@pytest.fixture(scope="module")
def said(linked: Project) -> dict:
    (subject, *_) = json.loads(linked.run("lineage", "audit", "records", "HEAD", "--json"))
    arguments = ("models:/traceable-digits/1", "models:/traceable-digits/2", subject["subject_id"])
    return {**json.loads(linked.run("python", "-c", ASK, *arguments).splitlines()[-1]), "who": subject["subject_id"]}


def test_a_trace_is_that_of_the_command(said: dict, linked: Project) -> None:
    assert said["trace"] == json.loads(linked.run("lineage", "trace", "models:/traceable-digits/1", "--json"))
    (chain,) = said["chain"]
    assert chain["model"] == "models:/traceable-digits/1"
    assert chain["result_commit"] == linked.git("rev-parse", "HEAD~1")
    assert chain["dataset_version"].endswith(".dir")
    assert len(chain["training_run"]) == 32


def test_a_proof_is_that_of_the_command(said: dict, linked: Project) -> None:
    (model,) = json.loads(linked.run("lineage", "verify", "models:/traceable-digits/1", "--json"))["models"]
    assert said["state"] == model["state"] == "PASS"
    told = [(link["name"], link["state"], link["looked_at"]) for link in model["links"]]
    assert [(link["link"], link["state"], link["looked_at"]) for link in said["links"]] == told
    assert said["all"] == ["PASS", ["models:/traceable-digits/1", "models:/traceable-digits/2"]]


def test_an_audit_is_that_of_the_command(said: dict, linked: Project) -> None:
    state, looked_at, rows = said["audit"]
    told = json.loads(linked.run("lineage", "audit", "subject", said["who"], "--json"))
    assert state == "COMPLETE"
    assert looked_at == told["looked_at"]
    assert {row["used_by"] for row in rows} >= {"models:/traceable-digits/1", "models:/traceable-digits/2"}
    assert {row["subject_id"] for row in rows} == {said["who"]}
    assert said["since"][0] == "FAILED"
    assert said["since"][1] > 0
    # nothing was made since then: that proves nothing
    assert said["later"][:2] == ["INCONCLUSIVE", 0]
    assert said["later"][2] > 0


def test_a_difference_is_that_of_the_command(said: dict, linked: Project) -> None:
    versions = ("models:/traceable-digits/1", "models:/traceable-digits/2")
    told = json.loads(linked.run("lineage", "diff", *versions, "--json"))["sections"]
    assert {row["section"]: row["state"] for row in said["diff"]} == {name: one["state"] for name, one in told.items()}
    assert {row["section"] for row in said["diff"] if row["state"] == "different"} >= {"parameters", "model"}


def test_what_cannot_be_answered_is_raised(said: dict) -> None:
    nothing, soon, blank, future = said["refused"]
    assert nothing.startswith("LineageError")
    assert future.startswith("ProjectError")
    assert soon.startswith("ValueError")
    assert blank.startswith("ValueError")


def test_the_page_works_as_it_says(linked: Project) -> None:
    (block,) = [block for block in blocks(PAGE) if block.kind == "python"]
    code = "\n".join(block.lines).replace("{{ cookiecutter.project_slug }}", "traceable-digits")
    out = linked.run("python", "-c", code)
    for word in ("result_commit", "PASS", "COMPLETE", "FAILED", "flipped records"):
        assert word in out
