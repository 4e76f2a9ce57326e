"""`dvc repro` as a stage of another DVC project, which hands its variables down."""

from __future__ import annotations

from pathlib import Path

from baked import Project

INNER = """stages:
  inner:
    cmd: cd ml && dvc repro --force --single-item evaluate && dvc repro --force --single-item register
"""


def test_everything_stays_in_the_inner_project(baseline: Project, tmp_path: Path) -> None:
    inner = baseline.clone(tmp_path / "ml")
    outer = Project(tmp_path, baseline.venv, baseline.environment)
    (tmp_path / "dvc.yaml").write_text(INNER)
    outer.dvc("init", "--quiet", "--no-scm")
    outer.environment |= {
        "DVC_EXP_NAME": "of-the-outer-one",
        "DVC_EXP_BASELINE_REV": "0" * 40,
        "DVC_ROOT": str(tmp_path),
    }
    output = outer.dvc("repro")
    assert "the alias candidate points to it" in output
    assert not (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / "mlartifacts").exists()
    run = inner.store().runs("evaluate")[-1]
    assert "dvc_exp_name" not in run.data.tags
    assert "dvc_exp_baseline_rev" not in run.data.tags
    assert run.data.tags["mlflow.source.git.commit"] == inner.git("rev-parse", "HEAD")
    assert run.data.tags["data_git_commit_id"] == inner.git("rev-parse", "HEAD")
