"""conf/, params.yaml and what the pipeline does when they disagree, or hold what cannot work."""

from __future__ import annotations

import pytest
from baked import Project


@pytest.fixture(autouse=True)
def clean(sandbox: Project) -> None:
    sandbox.git("reset", "--hard", "--quiet")
    sandbox.git("clean", "--quiet", "--force", "-d")
    sandbox.dvc("checkout", "--quiet", code=None)


def edit(project: Project, name: str, old: str, new: str) -> None:
    path = project.root / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_an_edit_of_conf_stops_repro_with_the_command_to_run(sandbox: Project) -> None:
    edit(sandbox, "conf/train/default.yaml", "lr: 0.02", "lr: 0.05")
    output = sandbox.dvc("repro", code=None)
    assert "lineage compose" in output
    assert "train.lr: 0.02 -> 0.05" in output
    assert "Traceback" not in output
    assert "Running stage 'train'" not in output
    assert "train.lr: 0.02 -> 0.05" in sandbox.compose()
    output = sandbox.dvc("repro", "config")
    assert "Running stage 'config'" in output
    assert "settings, since the last commit: train.lr: 0.02 -> 0.05.\n" in output


def test_the_untracked_file_that_is_the_cause_is_named(sandbox: Project) -> None:
    (sandbox.root / "conf" / "train" / "mine.yaml").write_text("defaults: [default, _self_]\nlr: 0.03\n")
    output = sandbox.dvc("exp", "run", "--temp", "-S", "train=mine", code=None)
    assert "conf/train/mine.yaml" in output
    assert "git add conf" in output
    assert "Running stage 'train'" not in output


@pytest.mark.parametrize("command", [("lineage", "compose"), ("dvc", "exp", "run", "--dry", "-S")])
def test_a_secret_cannot_reach_params_through_interpolation(command: tuple[str, ...], sandbox: Project) -> None:
    secret = Project(sandbox.root, sandbox.venv, {**sandbox.environment, "API_TOKEN": "hunter2hunter2"})
    output = secret.run(*command, "tracking.experiment=${oc.env:API_TOKEN}", code=None)
    assert "kept in Git" in output
    edit(sandbox, "conf/tracking/default.yaml", "experiment: traceable-digits", "experiment: ${oc.env:API_TOKEN}")
    output += secret.run("lineage", "compose", code=None)
    for path in sandbox.root.glob("*.yaml"):
        assert "hunter2" not in path.read_text()
    assert "hunter2" not in output
    assert "hunter2" not in sandbox.git("diff")


def test_a_value_that_changes_with_the_clock_is_refused(sandbox: Project) -> None:
    output = sandbox.run("lineage", "compose", "tracking.experiment=${now:%H}", code=1)
    assert "every composition" in output
    assert sandbox.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("data.fraction=abc", "data.fraction"),
        ("+train.learning_rate=1", "train.learning_rate is not a setting"),
        ("tracking.uri=https://me:secret@host", "user or password"),
        ("train.lr=???", "train.lr"),
    ],
)
def test_a_setting_that_cannot_work_is_told_in_a_sentence(override: str, sentence: str, sandbox: Project) -> None:
    refused = sandbox.run("lineage", "compose", override, code=1)
    assert sandbox.git("status", "--porcelain") == ""
    stopped = sandbox.dvc("exp", "run", "-S", override, "config", code=None)  # composes, and asks nobody
    for output in (refused, stopped):
        assert sentence in output
        assert "Traceback" not in output
        assert "me:secret" not in output


def test_an_unknown_key_is_refused_when_composing(sandbox: Project) -> None:
    output = sandbox.run("lineage", "compose", "train.learning_rate=1", code=1)
    assert "learning_rate" in output
    assert "Traceback" not in output


def test_too_small_a_fraction_is_told_in_a_sentence(sandbox: Project) -> None:
    sandbox.compose("data.fraction=0.002")
    output = sandbox.dvc("repro", "preprocess", code=None)
    assert "data.fraction" in output
    assert "Traceback" not in output
    assert not (sandbox.root / "data" / "processed").exists()


def test_an_undeclared_module_is_refused_before_the_work(sandbox: Project) -> None:
    (sandbox.root / "tricks.py").write_text("FACTOR = 2\n")
    edit(
        sandbox,
        "traceable_digits/stages/preprocess.py",
        "from lineage.records.preparation",
        "import tricks\nfrom lineage.records.preparation",
    )
    output = sandbox.dvc("repro", "preprocess", code=None)
    assert "tricks.py" in output
    assert "dvc.yaml" in output


def test_untracked_code_under_a_stage_makes_the_run_dirty(sandbox: Project) -> None:
    (sandbox.root / "traceable_digits" / "sources" / "extra.py").write_text("X = 1\n")
    sandbox.dvc("repro", "preprocess")
    assert "extra.py" in sandbox.run("lineage", "doctor", code=1)
    sandbox.dvc("repro", "--force", "--single-item", "fetch")
    edit(sandbox, "lineage/records/images.py", "Image bytes to pixels", "Pixels to image bytes")
    sandbox.dvc("repro", "preprocess")
    run = sandbox.store().runs("preprocess")[-1]
    assert run.data.tags["git_dirty"] == "true"
    assert "lineage/records/images.py" in run.data.tags["git_dirty_files"]


def test_a_registry_that_git_would_take_in_is_said(sandbox: Project) -> None:
    """consent.csv is out of Git's reach; another name is not."""
    assert "warning" not in sandbox.compose("privacy=registry")
    said = sandbox.compose("privacy=registry", "privacy.registry.path=people.csv")
    assert "warning: the consent registry" in said
    assert "people.csv" in said
    with (sandbox.root / ".gitignore").open("a") as ignored:
        ignored.write("/people.csv\n")
    assert "warning" not in sandbox.compose("privacy=registry", "privacy.registry.path=people.csv")
