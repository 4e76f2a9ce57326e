"""What an answer says to a person: one cause once, counts instead of addresses, and at the end what to do now."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
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
    assert "4 of 39 objects are not in" in line
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


def test_what_an_alias_points_to_is_looked_at_though_it_was_retired(project: Project, lineage: Lineage) -> None:
    client = project.store().client
    client.set_registered_model_alias("traceable-digits", "candidate", "1")
    lineage(project, "retire", SECOND, "--reason", "a trial")
    project.git("add", "retired")
    project.git("commit", "--quiet", "--message", "Retired")
    assert "1 of 1 models proved, 1 retired" in lineage(project, "verify", "--all")
    client.set_registered_model_alias("traceable-digits", "candidate", "2")
    assert "2 of 2 models proved" in lineage(project, "verify", "--all")


def test_objects_of_an_earlier_model_are_sent_by_the_command_that_is_named(project: Project, lineage: Lineage) -> None:
    lock = yaml.safe_load(project.git("show", f"{project.commit_of('First model')}:dvc.lock"))
    (model,) = (out["md5"] for out in lock["stages"]["train"]["outs"] if out["path"] == "models/model.safetensors")
    project.object(model).unlink()
    output = lineage(project, "verify", FIRST, code=1)
    assert "`lineage data push --all-commits` sends them" in last_line(output)
    assert lineage.ask(project, "data", "push")[0] == 0
    assert not project.object(model).exists()
    assert lineage.ask(project, "data", "push", "--all-commits")[0] == 0
    assert lineage.verify(project, FIRST).state == "PASS"


def test_a_remote_that_is_not_there_may_never_have_been_pushed_to(project: Project, lineage: Lineage) -> None:
    project.remote.rename(project.remote.with_name("away"))
    status, output = lineage.ask(project, "verify", SECOND)
    assert status == 2
    assert f"the DVC remote {project.remote} is not there: nothing was pushed yet, or it is not mounted" in output
    assert "`lineage data push` if nothing was pushed yet" in last_line(output)


def test_a_version_that_was_deleted_is_registered_again_as_the_answer_says(project: Project, lineage: Lineage) -> None:
    client = project.store().client
    client.delete_registered_model_alias("traceable-digits", "candidate")
    client.delete_model_version("traceable-digits", "2")
    status, output = lineage.ask(project, "verify", "--all")
    assert status == 2
    commands = last_line(output).split("`")[1::2]
    assert commands[0].startswith(f"git checkout -b again-{project.commit_of('Second model')[:12]} ")
    commands[-2] = commands[-2].replace("git commit", "git commit --quiet --message again")
    for command in commands[:-1]:
        project.run("sh", "-c", command)
    project.git("push", "--quiet", "origin", "HEAD")
    lineage(project, "link")
    assert "2 of 2 models proved" in lineage(project, "verify", "--all")


def test_a_commit_that_no_branch_leads_to_any_more_is_named(project: Project, lineage: Lineage) -> None:
    second = project.commit_of("Second model")
    project.git("reset", "--quiet", "--hard", "HEAD~1")
    project.git("push", "--quiet", "--force", "origin", "main")
    lineage(project, "link")
    output = lineage(project, "verify", SECOND, code=1)
    assert f"commit {second[:12]} holds this model, and no branch or tag leads to it any more" in output
    (command,) = last_line(output).split("`")[1:2]
    project.run("sh", "-c", command.partition(" && ")[0])
    project.git("push", "--quiet", "origin", f"keep-{second[:8]}")
    lineage(project, "link")
    assert lineage.verify(project, SECOND).state == "PASS"


def test_settings_that_differ_are_named_by_themselves(project: Project, lineage: Lineage) -> None:
    """And once, where several stages depend on one file; the fix is that of doctor."""
    path, code = project.root / "params.yaml", project.root / "traceable_digits" / "model" / "training.py"
    path.write_text(path.read_text().replace("lr: 0.02", "lr: 0.05"))
    code.write_text(code.read_text() + "\n# other\n")
    project.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    project.git("push", "--quiet", "--force", "origin", "main")
    output = lineage(project, "verify", "lineage.json", code=1)
    assert "train.lr in params.yaml is 0.05, dvc.lock says 0.02" in output
    assert output.count("training.py in the commit is") + output.count("traceable_digits/model in the commit is") <= 1
    found = json.loads(lineage.run(project, "doctor", "--json")[1])
    fix = next(item["fix"] for item in found if item["check"] == "last result")
    assert f"`{fix}`" in last_line(output)
