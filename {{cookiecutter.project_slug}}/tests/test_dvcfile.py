from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from project.errors import ProjectError
from project.pipeline.dvcfile import Pipeline, locked_hash, read_lock, read_pipeline
from project.settings import load_settings

EXAMPLE = """
stages:
  first:
    cmd: python first.py
    deps: [code.py, raw]
    params: [data.fraction, params.yaml: [data.salt, data.size], other.yaml: [not.ours]]
    outs:
      - made
      - kept: {cache: false}
      - plain:
  second:
    cmd: python second.py
    deps: [made]
    outs: [model: {persist: true}]
  third:
    cmd: python third.py
    deps: [model, kept, lock.txt]
    metrics: [scores.json: {cache: false}]
    plots: [curve.csv: {x: epoch}]
  aside:
    cmd: python aside.py
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    (tmp_path / "dvc.yaml").write_text(EXAMPLE, encoding="utf-8")
    return read_pipeline(tmp_path)


def test_a_stage_is_read_as_it_is_written(pipeline: Pipeline) -> None:
    first = pipeline.stage("first")
    assert first.cmd == "python first.py"
    assert first.deps == ("code.py", "raw")
    assert first.params == ("data.fraction", "data.salt", "data.size")
    assert first.outs == ("made", "kept", "plain")
    assert first.uncached == ("kept",)


def test_metrics_and_plots_are_outputs_too(pipeline: Pipeline) -> None:
    third = pipeline.stage("third")
    assert third.outs == third.reports == ("scores.json", "curve.csv")
    assert third.uncached == ("scores.json",)


def test_a_stage_of_a_command_alone_is_read(pipeline: Pipeline) -> None:
    aside = pipeline.stage("aside")
    assert (aside.deps, aside.params, aside.outs) == ((), (), ())


def test_stages_keep_the_order_of_the_file(pipeline: Pipeline) -> None:
    assert list(pipeline.stages) == ["first", "second", "third", "aside"]


def test_what_no_stage_makes_is_a_source(pipeline: Pipeline) -> None:
    assert pipeline.sources(pipeline.stage("first")) == ("code.py", "raw")
    assert pipeline.sources(pipeline.stage("third")) == ("lock.txt",)
    assert pipeline.producer("raw") is None
    assert pipeline.producer("kept") == pipeline.stage("first")


def test_upstream_is_every_stage_that_a_stage_rests_on(pipeline: Pipeline) -> None:
    assert [stage.name for stage in pipeline.upstream(pipeline.stage("third"))] == ["second", "first"]
    assert pipeline.upstream(pipeline.stage("first")) == []


def test_an_unknown_stage_is_refused_with_those_there_are(pipeline: Pipeline) -> None:
    with pytest.raises(ProjectError, match=r"no stage 'fourth'; it has first, second, third, aside"):
        pipeline.stage("fourth")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"dvc\.yaml is missing"):
        read_pipeline(tmp_path)


def test_a_file_that_is_no_yaml_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: [1", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"dvc\.yaml is not valid YAML") as caught:
        read_pipeline(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_lock_that_is_missing_or_empty_has_no_entries(tmp_path: Path) -> None:
    assert read_lock(tmp_path) == {}
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n", encoding="utf-8")
    assert read_lock(tmp_path) == {}


def test_a_hash_is_found_by_its_kind_and_path(tmp_path: Path) -> None:
    text = "stages: {train: {deps: [{path: a, md5: one}], outs: [{path: a, md5: two.dir}, {path: b}]}}"
    (tmp_path / "dvc.lock").write_text(text, encoding="utf-8")
    entry = read_lock(tmp_path)["train"]
    assert locked_hash(entry, "deps", "a") == "one"
    assert locked_hash(entry, "outs", "a") == "two.dir"
    assert locked_hash(entry, "outs", "b") is None
    assert locked_hash(entry, "deps", "c") is None
    assert locked_hash(None, "deps", "a") is None


def test_every_stage_of_the_project_runs_a_module_of_its_name(root: Path, package: str) -> None:
    for stage in read_pipeline(root).stages.values():
        assert shlex.split(stage.cmd) == ["python", "-m", f"{package}.stages.{stage.name}"]
        assert (root / package / "stages" / f"{stage.name}.py").is_file()
        assert f"{package}/stages/{stage.name}.py" in stage.deps


def test_every_source_of_the_project_is_there(root: Path) -> None:
    pipeline = read_pipeline(root)
    for stage in pipeline.stages.values():
        for source in pipeline.sources(stage):
            assert (root / source).exists(), f"{stage.name} depends on {source}"


def test_every_stage_of_the_project_declares_settings_that_there_are(root: Path) -> None:
    settings = load_settings(root / "params.yaml")
    for stage in read_pipeline(root).stages.values():
        assert set(settings.declared(stage.params).model_fields_set) == {key.split(".")[0] for key in stage.params}


def test_an_output_of_the_project_has_one_maker(root: Path) -> None:
    outs = [out for stage in read_pipeline(root).stages.values() for out in stage.outs]
    assert len(outs) == len(set(outs))
