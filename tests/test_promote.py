"""`lineage promote`, `demote` and `history`: who decides what, by what proof, and what a killed command leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from baked import Project
from command import Lineage

MODEL = "traceable-digits"
FIRST, SECOND = f"models:/{MODEL}/1", f"models:/{MODEL}/2"
CHAMPION = f"models:/{MODEL}@champion"
TO = ("--to", "champion")
# of 32 test subjects the bootstrap can say little; these gates let pass what is not much worse
LENIENT = ("promotion.comparison.margin=0.9", "promotion.comparison.slice_margin=0.9")
FOLDER = f"promotions/{MODEL}"


def champion(project: Project) -> str | None:
    found = project.store().client.get_registered_model(MODEL).aliases.get("champion")
    return None if found is None else str(found)


def doctor(project: Project, lineage: Lineage) -> dict[str, str]:
    found = json.loads(lineage.run(project, "doctor", "--json")[1])
    return next(item for item in found if item["check"] == "promotions")


def promote(lineage: Lineage, project: Project, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit status and answer of `lineage promote ... --json`."""
    status, output, errors = lineage.run(project, "promote", *arguments, *TO, "--json")
    assert output, errors
    return status, json.loads(output)


def states(answer: dict[str, Any]) -> dict[str, str]:
    return {name: gate["state"] for name, gate in answer["gates"].items()}


def set_gates(project: Project, *overrides: str) -> None:
    """Composes and commits gates, as a person would; nothing else of params.yaml may change."""
    project.compose("train=debug", "train.seed=5", "train.weight_decay=1e-5", *overrides)
    project.commit("Gates")


def decision(project: Project, number: int) -> dict[str, Any]:
    return dict(json.loads((project.root / FOLDER / f"champion-{number:04d}.json").read_text()))


def point_to(project: Project, number: str) -> None:
    project.store().client.set_registered_model_alias(MODEL, "champion", number)


def test_from_the_first_champion_to_the_next_and_back(project: Project, lineage: Lineage) -> None:
    assert doctor(project, lineage)["state"] == "right"
    head = project.git("rev-parse", "HEAD")
    status, answer = promote(lineage, project, FIRST, "--dry-run")
    assert (status, answer["verdict"], answer["decision"]) == (0, "would be promoted", None)
    assert (champion(project), project.git("rev-parse", "HEAD")) == (None, head)
    assert project.git("status", "--porcelain") == ""

    status, answer = promote(lineage, project, FIRST)
    assert (status, set(states(answer).values())) == (0, {"PASS"})
    assert champion(project) == "1"
    assert project.git("show", "--name-only", "--format=%s", "HEAD").split() == [
        *f"Promote {FIRST} to champion".split(),
        f"{FOLDER}/champion-0001.json",
    ]
    assert project.git("status", "--porcelain") == ""
    made = decision(project, 1)
    assert made["by"] == "Tester <tester@example.org>"
    assert (made["version"]["number"], made["before"], made["previous"]) == ("1", None, None)
    assert made["version"]["identity"] == project.version_tags("1")["model_identity"]
    assert made["asked"]["settings"]["comparison"]["margin"] == 0.02
    assert [gate["state"] for gate in made["gates"]] == ["PASS"] * 6
    assert made["gates"][4]["text"].startswith("no version is there to be compared with")
    assert project.version_tags("1")["champion_decision"] == f"{FOLDER}/champion-0001.json"
    proof = lineage.verify(project, CHAMPION)
    assert (proof.state, proof.link("aliases")["looked_at"]) == ("PASS", 6)
    assert doctor(project, lineage)["text"] == f"{CHAMPION} is version 1 by {FOLDER}/champion-0001.json"
    assert promote(lineage, project, FIRST)[1]["verdict"] == "as it was"
    assert not (project.root / FOLDER / "champion-0002.json").exists()

    # a changed gate runs no stage again, and counts once it is committed
    project.compose("train=debug", "train.seed=5", "train.weight_decay=1e-5", *LENIENT)
    said = lineage(project, "promote", SECOND, *TO, code=1)
    assert "refused: the gates in params.yaml are not those of the last commit" in said
    project.commit("Gates")
    assert set(json.loads(project.dvc("status", "--json"))) == {"config"}  # which only looks whether it was composed
    status, answer = promote(lineage, project, SECOND)
    assert (status, states(answer)["comparison"]) == (0, "PASS"), answer
    figures = answer["gates"]["comparison"]["figures"]
    assert figures["records"]["in both"] == figures["records"]["of the version"] > 100
    assert figures["overall"]["subjects"] == 32
    assert decision(project, 2)["before"] == made["version"]
    assert decision(project, 2)["asked"]["sha256"] != made["asked"]["sha256"]
    assert lineage.verify(project, SECOND).state == lineage.verify(project, FIRST).state == "PASS"

    # behind its back
    point_to(project, "1")
    for version in (FIRST, SECOND):
        proof = lineage.verify(project, version)
        assert set(proof.not_passed) == {"aliases"}
        assert "was moved behind its back" in proof.not_passed["aliases"]
        assert "lineage promote --as-decided --to champion" in json.loads(proof.output)["models"][0]["fix"]
    assert (doctor(project, lineage)["state"], doctor(project, lineage)["fix"]) == (
        "wrong",
        "lineage promote --as-decided --to champion",
    )
    for command in (("promote", FIRST, *TO), ("demote", "champion", "--reason", "x")):
        assert "was moved behind its back" in lineage(project, *command, code=1)
    assert "was moved behind its back" in lineage(project, "history", "champion", code=1)
    assert f"{CHAMPION} is version 2 now" in lineage(project, "promote", "--as-decided", *TO)
    assert champion(project) == "2"

    # and back
    assert "a reason is needed" in lineage(project, "demote", "champion", "--reason", " ", code=1)
    assert "is champion now" in lineage(project, "demote", "champion", "--reason", "wrong on images of site B")
    assert champion(project) == "1"
    assert [gate["name"] for gate in decision(project, 3)["gates"]] == ["verified", "consent"]
    assert "no other version was champion before" in lineage(project, "demote", "champion", "--reason", "x", code=1)
    assert "no version" in lineage(project, "demote", "champion", "--reason", "switched off", "--nobody")
    assert champion(project) is None
    _nobody_is_champion(project, lineage)
    seen = json.loads(lineage(project, "history", "champion", "--json"))
    assert [(row["version"], row["kind"], row["reason"]) for row in seen["decisions"]] == [
        (None, "demote", "switched off"),
        ("1", "demote", "wrong on images of site B"),
        ("2", "promote", ""),
        ("1", "promote", ""),
    ]
    assert [row["commit"] for row in seen["decisions"]] == project.git("log", "--format=%H", "--", "promotions").split()
    assert seen["decisions"][1]["until"] == seen["decisions"][0]["since"]
    assert lineage.verify(project, "--all").state == "PASS"


def _nobody_is_champion(project: Project, lineage: Lineage) -> None:
    """The next one is held against the last that had the alias, and that one needs a reason to come back."""
    taken = f"no version is champion by {FOLDER}/champion-0004.json; the last that was is version 1"
    status, answer = promote(lineage, project, SECOND, "--dry-run")
    assert (status, states(answer)["comparison"], states(answer)["drift"]) == (0, "PASS", "PASS")
    assert answer["gates"]["comparison"]["text"].startswith(f"{taken}. Against that one: ")
    assert answer["gates"]["comparison"]["figures"]["former"] == "1"
    assert answer["gates"]["drift"]["text"].startswith(f"{taken}. Against that one: ")
    status, answer = promote(lineage, project, FIRST, "--dry-run")
    assert (status, states(answer)["comparison"]) == (2, "INCONCLUSIVE")
    assert answer["gates"]["comparison"]["text"].startswith(f"{taken}: this very model")


def test_refused_inconclusive_and_accepted(project: Project, lineage: Lineage) -> None:
    for arguments, status, said in (
        ((FIRST, "--to", "canary"), 1, "canary is not among promotion.aliases (champion)"),
        ((f"models:/{MODEL}/9", *TO), 2, "INCONCLUSIVE"),
        ((FIRST, *TO, "--accept", "because"), 1, "where GATE is verified, consent"),
        ((FIRST, *TO, "--accept", f"drift: {'x' * 2001}"), 1, "has 2001 characters, and a decision keeps 2000"),
        (("--as-decided", *TO, "--model", "other"), 1, f"no decision is about a model other. There are {MODEL}."),
    ):
        assert said in lineage(project, "promote", *arguments, code=status)
    project.git("checkout", "--quiet", "-b", "feature/x")
    for command in (("promote", FIRST), ("promote", FIRST, "--dry-run"), ("promote", "--as-decided")):
        assert "branch feature/x is not the default branch main" in lineage(project, *command, *TO, code=1)
    project.git("checkout", "--quiet", "main")

    set_gates(project, "+promotion.thresholds.at_least.test.accuracy=1.01")
    status, answer = promote(lineage, project, FIRST, "--accept", "all: it has to be")
    assert (status, answer["verdict"], states(answer)["thresholds"]) == (1, "refused", "FAIL")
    assert answer["text"] == f"{FIRST} is not champion: thresholds does not pass."
    assert champion(project) is None

    set_gates(project, "+promotion.thresholds.at_least.test.auc=0.5")
    status, answer = promote(lineage, project, FIRST)
    assert (status, answer["verdict"], states(answer)["thresholds"]) == (2, "inconclusive", "INCONCLUSIVE")
    assert answer["text"].endswith("thresholds cannot be decided without --accept 'thresholds: REASON'.")
    assert not (project.root / "promotions").exists()
    status, answer = promote(lineage, project, FIRST, "--accept", "thresholds: the AUC is on paper")
    assert (status, champion(project)) == (0, "1")
    assert decision(project, 1)["accepted"] == [{"gates": ["thresholds"], "reason": "the AUC is on paper"}]
    assert "accepted (thresholds): the AUC is on paper" in project.git("show", "--format=%B", "--no-patch", "HEAD")
    assert "accepted (thresholds): the AUC is on paper" in lineage(project, "history", "champion")
    said = lineage(project, "history", "chmapion", code=2)
    assert "no decision and no setting is about an alias chmapion. There are champion." in said

    # what a disproved version would be
    project.sql("UPDATE model_version_tags SET value = 'x' WHERE version = 2 AND key = 'dvc_data_md5'")
    status, answer = promote(lineage, project, SECOND, "--accept", "all: x")
    assert (status, states(answer)["verified"]) == (1, "FAIL")
    # a champion whose predictions are gone cannot be compared with
    predictions = project.git("show", "HEAD:dvc.lock")
    assert "data/predictions.parquet" in predictions
    for place in (project.object, project.cached):
        path = place(_predictions(project, decision(project, 1)["version"]["commit"]))
        if path.exists():
            path.chmod(0o644)
            path.unlink()
    status, answer = promote(lineage, project, SECOND, "--dry-run")
    assert states(answer)["comparison"] == "INCONCLUSIVE"
    assert answer["gates"]["comparison"]["text"].startswith("of the champion, version 1: object ")


def _predictions(project: Project, commit: str) -> str:
    import yaml

    lock = yaml.safe_load(project.git("show", f"{commit}:dvc.lock"))
    outs = lock["stages"]["evaluate"]["outs"]
    return str(next(out["md5"] for out in outs if out["path"] == "data/predictions.parquet"))


def hook(project: Project, name: str, script: str) -> Path:
    """Makes Git call a script; it takes itself away, so that it runs once."""
    path = project.root / ".git" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\nrm "$0"\n{script}\n')
    path.chmod(0o755)
    return path


KILL = "kill -9 $(cat .dvc/tmp/promotion.pid)"


def test_a_kill_between_any_two_steps_is_found_and_mended(project: Project, lineage: Lineage) -> None:
    head = project.git("rev-parse", "HEAD")
    hook(project, "pre-commit", f"{KILL}; exit 1")  # written, and in no commit
    lineage.run(project, "promote", FIRST, *TO)
    assert (project.git("rev-parse", "HEAD"), champion(project)) == (head, None)
    found = doctor(project, lineage)
    assert (found["state"], found["fix"]) == ("wrong", "lineage promote --as-decided --to champion")
    assert f"{FOLDER}/champion-0001.json lies here and in no commit" in found["text"]
    said = lineage(project, found["fix"].split()[1], *found["fix"].split()[2:])
    assert "so it decided nothing: moved to .dvc/tmp/promotions" in said
    assert project.git("status", "--porcelain") == ""
    assert doctor(project, lineage)["state"] == "right"

    hook(project, "post-commit", KILL)  # committed, and MLflow knows nothing
    lineage.run(project, "promote", FIRST, *TO)
    assert (project.git("rev-parse", "HEAD~1"), champion(project)) == (head, None)
    found = doctor(project, lineage)
    assert (found["state"], "the command was interrupted" in found["text"]) == ("wrong", True)
    proof = lineage.verify(project, FIRST)
    assert (proof.state, set(proof.not_passed)) == ("INCONCLUSIVE", {"aliases"})
    status, answer = promote(lineage, project, FIRST)
    assert (status, answer["verdict"]) == (0, "as it was")
    assert answer["notes"] == [f"finished what was interrupted: {FOLDER}/champion-0001.json."]
    assert champion(project) == "1"
    assert lineage.verify(project, FIRST).state == doctor(project, lineage)["state"].replace("right", "PASS")

    client = project.store().client  # killed after the alias, before the last tags
    client.delete_registered_model_tag(MODEL, "champion_decision_sha256")
    assert "carried out but for its tags" in doctor(project, lineage)["text"]
    client.delete_registered_model_alias(MODEL, "champion")  # killed before the alias
    assert "the command was interrupted" in doctor(project, lineage)["text"]
    lineage(project, "promote", "--as-decided", *TO)
    assert (champion(project), doctor(project, lineage)["state"]) == ("1", "right")
    assert lineage.verify(project, FIRST).state == "PASS"

    # what was decided under an earlier name of the model is listed, and can be undone
    set_gates(project, "tracking.model_name=renamed")
    seen = json.loads(lineage(project, "history", "--json"))
    assert (seen["model"], seen["decisions"], [each["model"] for each in seen["others"]]) == ("renamed", [], [MODEL])
    point_to(project, "2")
    now = f"lineage promote --as-decided --to champion --model {MODEL}"
    assert now in lineage(project, "history", code=1)
    assert doctor(project, lineage)["fix"] == now
    lineage(project, *now.split()[1:])
    assert champion(project) == "1"
    lineage(project, "demote", "champion", "--model", MODEL, "--nobody", "--reason", "the name is given up")
    assert champion(project) is None


def test_two_at_once(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    head, said = project.git("rev-parse", "HEAD"), tmp_path / "said"
    (tmp_path / "move.py").write_text(
        "import sqlite3\nstore = sqlite3.connect('mlflow.db')\n"
        "store.execute('INSERT INTO registered_model_aliases (name, alias, version) VALUES (?, ?, ?)', "
        f"('{MODEL}', 'champion', 2))\nstore.commit()\n"
    )
    # while the first decides, another command of this clone asks, and one of another clone moves the alias
    hook(
        project,
        "pre-commit",
        f"lineage promote {SECOND} --to champion > {said} 2>&1\npython {tmp_path / 'move.py'}",
    )
    assert "was moved to version 2 meanwhile. Nothing was decided here" in lineage(
        project, "promote", FIRST, *TO, code=1
    )
    assert "refused: another promotion is under way here, process " in said.read_text()
    assert (champion(project), project.git("rev-parse", "HEAD")) == ("2", head)
    assert project.git("status", "--porcelain") == ""
    assert not (project.root / "promotions").exists()
    assert "champion_decision" not in project.version_tags("1")
    # whoever moved it without a decision is found, and the version may be judged where it is
    found = doctor(project, lineage)
    assert (found["state"], found["fix"]) == ("wrong", f"lineage promote {SECOND} --to champion")
    assert "nobody" not in lineage.verify(project, FIRST).not_passed.get("aliases", "")
    assert "it was set behind the back of" in lineage.verify(project, SECOND).not_passed["aliases"]
    assert "set behind the back" in lineage(project, "promote", FIRST, *TO, code=1)
    assert promote(lineage, project, SECOND)[0] == 0
    assert (champion(project), decision(project, 1)["version"]["number"]) == ("2", "2")
    assert lineage.verify(project, SECOND).state == "PASS"


def test_a_clone_that_lacks_a_decision_decides_nothing(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    set_gates(project, *LENIENT)
    project.git("push", "--quiet", "origin", "main")
    other = project.clone_without_data(tmp_path / "other")
    other.git("remote", "set-url", "origin", project.git("remote", "get-url", "origin"))
    (other.root / ".dvc" / "config.local").write_text((project.root / ".dvc" / "config.local").read_text())
    (other.root / "mlflow.db").symlink_to(project.root / "mlflow.db")  # the store that both share
    promote(lineage, project, FIRST)
    for command in (("history", "champion"), ("verify", FIRST)):
        assert "which no branch or tag of this clone has" in lineage(other, *command, code=2)
    assert (doctor(other, lineage)["state"], doctor(other, lineage)["fix"]) == ("unknown", "git pull")
    said = lineage(other, "promote", SECOND, *TO, code=1)
    assert f"{CHAMPION} is version 1 by {FOLDER}/champion-0001.json, which no branch or tag" in said

    project.git("push", "--quiet", "origin", "main")
    said = lineage(other, "promote", SECOND, *TO, code=2)
    assert "origin has commits that this clone does not" in said
    other.git("fetch", "--quiet")
    said = lineage(other, "promote", SECOND, *TO, code=1)
    assert f"{FOLDER}/champion-0001.json of commit" in said
    assert "is not in HEAD: merge it first" in said
    other.git("merge", "--quiet", "--ff-only", "origin/main")
    status, answer = promote(lineage, other, SECOND)
    assert (status, champion(project)) == (0, "2"), answer
    assert "by promotions/traceable-digits/champion-0002.json, which no branch or tag" in lineage(
        project, "history", "champion", code=2
    )


@pytest.fixture(autouse=True)
def _no_background(project: Project) -> None:
    """The hooks of Git that call `lineage link` were taken out of the shared project; a test makes its own."""
    assert not (project.root / ".git" / "hooks" / "post-commit").exists()
