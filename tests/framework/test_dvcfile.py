from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lineage.base.errors import ProjectError
from lineage.contract import Role
from lineage.dvc.dvcfile import Pipeline, locked_hash, parse_pipeline, read_lock, read_pipeline
from lineage.dvc.recorded import Recorded

from .conftest import filled

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


EACH = r"""
stages:
  one:
    cmd: python one.py
    deps: ["${files.raw}", code.py]
    outs: [one]
  seed:
    foreach: ${seeds}
    do:
      cmd: python seed.py ${item}
      deps: [one]
      outs: ["seed-${item}": {cache: false}]
  size:
    foreach: ${sizes}
    do:
      cmd: python size.py ${key} ${item.width} --fast ${item.fast}
      deps: [seed-3]
      outs: ["size-${key}"]
  size-of-list:
    foreach: [{name: a, width: 1}, {name: b, width: 2}]
    do:
      cmd: python list.py ${item.name} $HOME \${HOME}
      outs: ["listed-${item.name}"]
  flag:
    foreach: [true, false]
    do:
      cmd: python flag.py ${item}
  nobody:
    foreach: ${none}
    do:
      cmd: python nobody.py ${item}
"""
EACH_PARAMS = """
files: {raw: data/raw}
seeds: [3, 1]
sizes: {small: {width: 8, fast: true}, large: {width: 64, fast: false}}
none: []
"""
ASK_DVC = """
import json, sys
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo

def read(folder):
    stages = Repo.init(folder, no_scm=True).index.stages
    return {
        stage.name: {
            "cmd": stage.cmd,
            "deps": sorted(dep.def_path for dep in stage.deps if not isinstance(dep, ParamsDependency)),
            "params": sorted(key for dep in stage.deps if isinstance(dep, ParamsDependency) for key in dep.params),
            "outs": sorted(out.def_path for out in stage.outs),
            "uncached": sorted(out.def_path for out in stage.outs if not out.use_cache),
        }
        for stage in stages
    }

print(json.dumps([read(folder) for folder in sys.argv[1:]]))
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


@pytest.fixture
def each(tmp_path: Path) -> Pipeline:
    (tmp_path / "dvc.yaml").write_text(EACH, encoding="utf-8")
    (tmp_path / "params.yaml").write_text(EACH_PARAMS, encoding="utf-8")
    return read_pipeline(tmp_path)


def test_a_stage_of_foreach_is_found_by_its_name_and_by_that_of_its_module(each: Pipeline) -> None:
    large = each.stage("size@large")
    assert (large.name, large.module) == ("size@large", "size")
    assert large.cmd.startswith("python size.py large 64")
    assert each.stage("size") == each.stage("size@small")
    assert each.stage("one").name == each.stage("one").module == "one"


def test_the_name_of_one_stage_is_no_beginning_of_another(each: Pipeline) -> None:
    assert each.stage("size-of-list").module == "size-of-list"
    with pytest.raises(ProjectError, match="no stage 'size@huge'"):
        each.stage("size@huge")


def test_a_stage_of_an_empty_foreach_is_not_there(each: Pipeline) -> None:
    with pytest.raises(ProjectError, match="no stage 'nobody'"):
        each.stage("nobody")


def test_outputs_and_dependencies_of_foreach_are_known(each: Pipeline) -> None:
    seed = each.producer("seed-3")
    assert seed is not None
    assert seed == each.stage("seed@3")
    assert seed.uncached == ("seed-3",)
    assert [stage.name for stage in each.upstream(each.stage("size@large"))] == ["seed@3", "one"]
    assert each.sources(each.stage("one")) == ("data/raw", "code.py")


def test_without_places_in_it_a_file_needs_no_params(tmp_path: Path, pipeline: Pipeline) -> None:
    (tmp_path / "params.yaml").write_text(EACH_PARAMS, encoding="utf-8")
    assert read_pipeline(tmp_path) == pipeline == parse_pipeline(yaml.safe_load(EXAMPLE), {})


SNAPSHOTS = {  # as conf/privacy composes into params.yaml
    "none": {"enabled": [], "path": ".checks/absent"},
    "registry": {"enabled": ["registry"], "path": "data/consent.csv"},
}


def with_privacy(folder: Path, root: Path, name: str) -> Path:
    """The template's dvc.yaml and params.yaml in a folder of their own, with one of the choices of conf/privacy."""
    folder.mkdir()
    params: dict[str, Any] = yaml.safe_load(filled(root / "params.yaml"))
    privacy = yaml.safe_load((root / "conf" / "privacy" / f"{name}.yaml").read_text(encoding="utf-8"))
    params["privacy"] = privacy | {"salt": params["project_id"], "snapshot": SNAPSHOTS[name]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    (folder / "dvc.yaml").write_text(filled(root / "dvc.yaml"), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def examples(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a dvc.yaml and a params.yaml."""
    parent = tmp_path_factory.mktemp("examples")
    folders = {name: with_privacy(parent / name, root, name) for name in ("none", "registry")}
    (parent / "each").mkdir()
    (parent / "each" / "dvc.yaml").write_text(EACH, encoding="utf-8")
    (parent / "each" / "params.yaml").write_text(EACH_PARAMS, encoding="utf-8")
    return folders | {"each": parent / "each"}


@pytest.fixture(scope="module")
def by_dvc(examples: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """What dvc reads in them. Asked once: it is slow to start."""
    command = [sys.executable, "-c", ASK_DVC, *map(str, examples.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(examples, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("name", ["none", "registry", "each"])
def test_dvc_reads_the_same_stages(examples: dict[str, Path], by_dvc: dict[str, dict[str, Any]], name: str) -> None:
    ours = {
        stage.name: {
            "cmd": stage.cmd,
            "deps": sorted(stage.deps),
            "params": sorted(stage.params),
            "outs": sorted(stage.outs),
            "uncached": sorted(stage.uncached),
        }
        for stage in read_pipeline(examples[name]).stages.values()
    }
    assert ours == by_dvc[name]


SUBSET = """
stages:
  preprocess:
    cmd: preprocess
    meta: {lineage: {dataset: data/all, profile: data/profile.json}}
    outs: [data/all, data/profile.json]
  choose:
    cmd: choose
    meta: {lineage: {dataset: data/chosen}}
    deps: [data/all]
    outs: [data/chosen]
  train:
    cmd: train
    meta: {lineage: {model: model}}
    deps: [data/chosen]
    outs: [model]
"""


def test_a_profile_is_that_of_the_dataset_of_the_same_stage_and_of_no_other() -> None:
    document = yaml.safe_load(SUBSET)
    lock: Any = {
        "preprocess": {"outs": [{"path": "data/all", "md5": "a"}, {"path": "data/profile.json", "md5": "p"}]},
        "choose": {"outs": [{"path": "data/chosen", "md5": "c"}, {"path": "data/chosen.json", "md5": "q"}]},
    }
    recorded = Recorded(lock, parse_pipeline(document, {}))
    assert recorded.made(Role.DATASET) == "c"
    assert [recorded.profile_of(dataset) for dataset in "acx"] == ["p", None, None]
    assert recorded.pipeline.profile_of("data/chosen") is None
    document["stages"]["choose"]["meta"]["lineage"]["profile"] = "data/chosen.json"
    document["stages"]["choose"]["outs"].append("data/chosen.json")
    both = Recorded(lock, parse_pipeline(document, {}))
    assert [both.profile_of(dataset) for dataset in "acx"] == ["p", "q", None]
