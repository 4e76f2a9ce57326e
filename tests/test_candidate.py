"""The alias `candidate`: which checkout moves it, when, and that an answer says where it is another's."""

from __future__ import annotations

import json

from baked import Project
from command import Lineage

MODEL = "traceable-digits"
CANDIDATE = f"models:/{MODEL}@candidate"


def point_to(project: Project, number: str) -> None:
    project.store().client.set_registered_model_alias(MODEL, "candidate", number)


def doctor(project: Project, lineage: Lineage) -> dict[str, str]:
    found = json.loads(lineage.run(project, "doctor", "--json")[1])
    return next(item for item in found if item["check"] == "candidate")


def test_only_the_default_branch_moves_it_or_those_that_are_named(project: Project, lineage: Lineage) -> None:
    assert doctor(project, lineage)["text"] == f"{CANDIDATE} is version 2, the model of this checkout"
    point_to(project, "1")
    project.git("checkout", "--quiet", "-b", "feature/x")
    said = project.dvc("repro", "--force", "--single-item", "register")
    assert "the alias candidate was not moved: branch feature/x is not the default branch main" in said
    lineage(project, "link")
    assert project.store().candidate() == "1"
    found = doctor(project, lineage)
    assert (found["state"], "not the model of this checkout: branch feature/x" in found["text"]) == ("right", True)
    proof = lineage.verify(project, CANDIDATE)
    assert proof.state == "PASS"
    assert f"{CANDIDATE} is version 1, not the model of this checkout" in json.loads(proof.output)["scope"]

    overrides = ("train=debug", "train.seed=5", "train.weight_decay=1e-5")
    project.compose(*overrides, "tracking.candidate_branches=[main,feature/*]")
    assert "the alias candidate points to it" in project.dvc("repro")
    assert project.store().candidate() == "2"


def test_who_sets_it_by_hand_before_the_commit_has_the_last_word(project: Project, lineage: Lineage) -> None:
    project.compose("train=debug", "train.seed=9")
    project.dvc("repro", "train")
    assert doctor(project, lineage)["fix"] == "dvc repro"  # not `git commit`: this is no result yet
    assert "the alias candidate points to it" in project.dvc("repro")
    point_to(project, "1")
    found = doctor(project, lineage)
    assert (found["state"], found["fix"]) == ("unknown", "git add --all && git commit")
    project.commit("Third model")
    assert "alias" not in lineage(project, "link")
    assert project.store().candidate() == "1"


def test_link_moves_it_once_for_each_result_and_never_back(project: Project, lineage: Lineage) -> None:
    point_to(project, "1")  # somebody went back, on purpose
    assert "alias" not in lineage(project, "link")
    assert project.store().candidate() == "1"
    assert doctor(project, lineage)["state"] == "unknown"
    for tag in ("candidate_commit", "candidate_identity"):
        project.store().client.delete_registered_model_tag(MODEL, tag)
    assert "the alias candidate points to models:/traceable-digits/2 now" in lineage(project, "link")
    assert project.store().candidate() == "2"
    # a checkout that lags behind
    project.git("reset", "--quiet", "--hard", project.commit_of("First model"))
    assert "the alias candidate stays" in lineage(project, "link")
    assert project.store().candidate() == "2"
