"""What an answer says to a person: one cause once, counts instead of addresses, and at the end what to do now."""

from __future__ import annotations

import json
from pathlib import Path

from baked import Project
from command import Lineage
from damage import SECOND, shards

FIRST = "models:/traceable-digits/1"


def last_line(output: str) -> str:
    return output.strip().splitlines()[-1]


def uncommit(project: Project, mode: str) -> None:
    """The second model's commit as if it had never been, in this clone and in the remote."""
    project.git("reset", "--quiet", mode, "HEAD~1")
    project.git("push", "--quiet", "--force", "origin", "main")
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "--quiet", "--prune=now")


def test_a_model_that_is_not_committed_yet_is_no_failure(project: Project, lineage: Lineage) -> None:
    uncommit(project, "--soft")
    project.store().client.delete_model_version_tag("traceable-digits", "2", "result_git_commit_id")  # as registered
    status, output = lineage.ask(project, "verify", SECOND)
    assert status == 2
    assert "FAIL" not in output
    assert output.count("not committed yet: dvc.lock here holds this model") == 1
    assert "git add --all && git commit" in last_line(output)
    assert len(output.splitlines()) < 10
    proof = lineage.verify(project, SECOND)
    assert {link["state"] for link in proof.links} <= {"PASS", "INCONCLUSIVE"}


def test_what_is_not_in_the_remote_is_counted_and_the_mend_is_that_of_doctor(
    project: Project, lineage: Lineage
) -> None:
    absent = shards(project)[:4]
    for md5 in absent:
        project.object(md5).unlink()
    status, output = lineage.ask(project, "verify", SECOND)
    assert status == 1
    line = next(line for line in output.splitlines() if "DVC remote" in line)
    assert "4 of 36 objects are not in" in line
    assert "4 are in the cache here" in line
    assert "and 1 more" in line
    assert "files/md5/" not in line
    assert "`lineage data push`" in last_line(output)
    assert "-> lineage data push" in lineage.ask(project, "doctor")[1]
    gone = project.cached(absent[0])
    gone.chmod(0o644)
    gone.unlink()
    proof = lineage.verify(project, SECOND)
    assert proof.state == "FAIL"
    assert all(md5[2:] in proof.output for md5 in absent)
    assert "1 are in neither" in proof.link("DVC remote")["text"]
    lineage.ask(project, "data", "push")
    assert project.object(absent[1]).exists()
    assert not project.object(absent[0]).exists()


def test_a_version_that_nobody_can_prove_is_retired_with_a_reason(project: Project, lineage: Lineage) -> None:
    uncommit(project, "--hard")
    status, output = lineage.ask(project, "verify", "--all")
    assert status == 1
    assert f"`lineage retire {SECOND} --reason ...`" in last_line(output)
    assert "is not in this clone: `git fetch --all`" in lineage(project, "trace", SECOND)
    assert "alias candidate points to" in lineage(project, "retire", SECOND, "--reason", "a trial", code=1)
    project.store().client.set_registered_model_alias("traceable-digits", "candidate", "1")
    assert "a reason is needed" in lineage(project, "retire", SECOND, "--reason", " ", code=1)
    lineage(project, "retire", SECOND, "--reason", "its branch was removed")
    assert lineage.ask(project, "verify", "--all")[0] == 1  # not committed: it does not count
    project.commit("Retire version 2")
    project.git("push", "--quiet", "origin", "main")
    status, output = lineage.ask(project, "verify", "--all")
    assert status == 0, output
    assert "its branch was removed (Tester <tester@example.org>" in output
    assert "1 of 1 models proved, 1 retired and not looked at" in output
    assert lineage.ask(project, "verify", SECOND)[0] == 1
    looked_at = json.loads(lineage(project, "audit", "subject", "nobody", "--json", code=None).split("lineage:")[0])
    assert looked_at["looked_at"]["versions"] == 2


def test_who_did_what_and_which_alias_stand_in_the_chain(linked: Project, lineage: Lineage) -> None:
    (model,) = json.loads(lineage(linked, "trace", SECOND, "--json"))["models"]
    assert model["people"] == dict.fromkeys(("trained", "committed", "registered"), "Tester <tester@example.org>")
    assert model["version"]["aliases"] == ["candidate"]
    assert model["gaps"] == []
    (of_file,) = json.loads(lineage(linked, "trace", "lineage.json", "--json"))["models"]
    assert (of_file["title"], of_file["training_run"]["state"]) == (SECOND, "FINISHED")
    client = linked.store().client
    run = client.get_model_version("traceable-digits", "2").tags["register_run_id"]
    page = Path(client.download_artifacts(run, "lineage/traceable-digits-2.html"))
    assert "candidate" in page.read_text()
