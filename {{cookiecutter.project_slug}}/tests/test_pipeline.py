"""dvc.yaml: what its stages run, import and declare, without and with a consent registry."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lineage.compute.snapshot import Snapshot
from lineage.dvc.dvcfile import read_pipeline
from lineage.run.imports import check_imports, every_import, imported_files
from lineage.settings import load_settings


def test_every_stage_declares_what_it_imports(root: Path, package: str) -> None:
    stages = read_pipeline(root).stages.values()
    assert stages
    for stage in stages:
        check_imports(root, root / package, stage)


def test_every_code_that_a_stage_declares_is_reached(root: Path, package: str) -> None:
    """What is declared and not used would run a stage again for nothing."""
    for stage in read_pipeline(root).stages.values():
        reached = imported_files(root, root / package, root / package / "stages" / f"{stage.module}.py")
        if stage.module in ("fetch", "listing"):  # a source is found by its name
            reached |= {file for path in (root / package / "sources").glob("*.py") for file in every_import(root, path)}
        code = [dep for dep in stage.deps if dep.startswith((package, "lineage"))]
        unused = [dep for dep in code if not any(file.is_relative_to(root / dep) for file in reached)]
        assert unused == [], stage.name


SNAPSHOTS = {  # as conf/privacy composes into params.yaml
    "none": {"enabled": [], "path": ".checks/absent"},
    "registry": {"enabled": ["registry"], "path": "data/consent.csv"},
}


def with_privacy(folder: Path, root: Path, name: str) -> Path:
    """The project's dvc.yaml and params.yaml in a folder of their own, with one of the choices of conf/privacy."""
    folder.mkdir()
    params: dict[str, Any] = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    privacy = yaml.safe_load((root / "conf" / "privacy" / f"{name}.yaml").read_text(encoding="utf-8"))
    params["privacy"] = privacy | {"salt": params["project_id"], "snapshot": SNAPSHOTS[name]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    (folder / "dvc.yaml").write_bytes((root / "dvc.yaml").read_bytes())
    return folder


@pytest.fixture(scope="module")
def examples(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pipeline without and with a consent registry."""
    parent = tmp_path_factory.mktemp("examples")
    return {name: with_privacy(parent / name, root, name) for name in ("none", "registry")}


def test_with_a_registry_preprocess_depends_on_what_consent_wrote(examples: dict[str, Path]) -> None:
    pipeline = read_pipeline(examples["registry"])
    consent, preprocess = pipeline.stage("consent"), pipeline.stage("preprocess")
    assert (consent.name, consent.module) == ("consent@registry", "consent")
    [snapshot] = consent.outs
    assert snapshot in preprocess.deps
    assert snapshot not in pipeline.sources(preprocess)
    assert ".checks/absent" not in preprocess.deps
    for name in ("preprocess", "train", "evaluate", "register"):
        assert consent in pipeline.upstream(pipeline.stage(name))


def test_without_a_registry_preprocess_depends_on_a_file_that_never_changes(examples: dict[str, Path]) -> None:
    pipeline = read_pipeline(examples["none"])
    assert not any(stage.module == "consent" for stage in pipeline.stages.values())
    assert ".checks/absent" in pipeline.stage("preprocess").deps
    assert pipeline.producer(".checks/absent") == pipeline.stage("config")
    assert "data/consent.csv" not in {dep for stage in pipeline.stages.values() for dep in stage.deps}


def test_a_registry_changes_nothing_but_consent_and_what_preprocess_depends_on(examples: dict[str, Path]) -> None:
    asked, unasked = (read_pipeline(examples[name]).stages for name in ("registry", "none"))
    assert set(asked) - set(unasked) == {"consent@registry"}
    assert {name for name in unasked if unasked[name] != asked[name]} == {"preprocess"}
    assert len(set(asked["preprocess"].deps) ^ set(unasked["preprocess"].deps)) == 2


@pytest.fixture(params=["none", "registry"])
def project(request: pytest.FixtureRequest, examples: dict[str, Path]) -> Path:
    """A folder of dvc.yaml and params.yaml, without and with a consent registry."""
    return examples[request.param]


def test_every_stage_of_the_project_runs_a_module_of_its_name(root: Path, project: Path, package: str) -> None:
    for stage in read_pipeline(project).stages.values():
        assert shlex.split(stage.cmd) == ["python", "-I", "scripts/stage.py", f"{package}.stages.{stage.module}"]
        assert (root / package / "stages" / f"{stage.module}.py").is_file()
        assert f"{package}/stages/{stage.module}.py" in stage.deps


def test_every_source_of_the_project_is_there(root: Path, project: Path) -> None:
    pipeline = read_pipeline(project)
    for stage in pipeline.stages.values():
        for source in pipeline.sources(stage):
            assert (root / source).exists(), f"{stage.name} depends on {source}"


def test_every_stage_of_the_project_declares_settings_that_there_are(project: Path) -> None:
    settings = load_settings(project / "params.yaml")
    for stage in read_pipeline(project).stages.values():
        assert set(settings.declared(stage.params).model_fields_set) == {key.split(".")[0] for key in stage.params}


def test_an_output_of_the_project_has_one_maker(project: Path) -> None:
    outs = [out for stage in read_pipeline(project).stages.values() for out in stage.outs]
    assert len(outs) == len(set(outs))


def test_the_projects_own_files_hold_no_secret(copy: Path) -> None:
    """A job gets them: see docs/sagemaker.md."""
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    (copy / "requirements.lock").write_text("numpy==2.0\n")
    (copy / ".dvcignore").write_text("__pycache__\n")
    subprocess.run(["git", "add", "--all"], cwd=copy, check=True)
    assert len(Snapshot(copy, read_pipeline(copy)).names) > 100
