"""Stages and files have roles, not names: a stage put between, a renamed one, and one of one's own are all recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from baked import Project
from command import Lineage

STAGE = '''"""{name}: {does}"""

from __future__ import annotations

from lineage.pipeline.runner import Report, run
from lineage.run.outputs import Inputs, Outputs
{imports}
from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    {work}


if __name__ == "__main__":
    run(__file__, work)
'''
CHOOSE = """source, target = inputs["data/processed"], outputs["data/chosen"]
    cache = ShardCache(report.cache_dir)
    write_subset(source, target, lambda row: row.subject_id != "SUBJECT", shards=settings.data.shards, cache=cache)
"""
COUNT = """table = pq.read_table(inputs["data/processed"] / "manifest.parquet")
    report.metrics({"people": len(set(table["subject_id"].to_pylist()))})
    outputs["data/count.txt"].write_text(f"{table.num_rows}\\n")
"""


def write_stage(project: Project, name: str, does: str, imports: str, work: str) -> dict[str, object]:
    """A stage of the owner's own. Returns what dvc.yaml says of it, less its inputs and outputs."""
    package = project.root / "traceable_digits"
    text = STAGE.format(name=name, does=does, imports=imports, work=work)
    (package / "stages" / f"{name}.py").write_text(text)
    return {"cmd": f"python -I scripts/stage.py traceable_digits.stages.{name}"}


@pytest.fixture(scope="module")
def changed(baseline: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """train is called fit, its weights are elsewhere, `choose` stands before it, and `count` reads the dataset."""
    project = baseline.copy(tmp_path_factory.mktemp("roles"))
    subject = subjects(project, "data/processed")[0]
    package, pipeline = project.root / "traceable_digits", project.root / "dvc.yaml"
    (package / "stages" / "train.py").rename(package / "stages" / "fit.py")
    places = {"models/model.safetensors": "models/weights.safetensors", "models/run.json": "models/fit.json"}
    for path in (package / "stages" / "fit.py", package / "stages" / "evaluate.py", pipeline):
        text = path.read_text()
        for before, after in places.items():
            text = text.replace(before, after)
        path.write_text(text)
    for name in ("fit", "evaluate"):
        path = package / "stages" / f"{name}.py"
        path.write_text(path.read_text().replace("data/processed", "data/chosen"))
    document = yaml.safe_load(pipeline.read_text())
    stages = document["stages"]
    imports = "from lineage.records.derived import write_subset\nfrom lineage.records.shard_cache import ShardCache\n"
    choose = write_stage(project, "choose", "leaves somebody out", imports, CHOOSE.replace("SUBJECT", subject))
    count = write_stage(project, "count", "counts people", "import pyarrow.parquet as pq\n", COUNT)
    stages["choose"] = choose | {
        "deps": ["data/processed", "traceable_digits/stages/choose.py", "lineage/records"],
        "params": ["data.shards"],
        "outs": ["data/chosen"],
        "meta": {"lineage": {"dataset": "data/chosen"}},
    }
    stages["count"] = count | {
        "deps": ["data/processed", "traceable_digits/stages/count.py"],
        "outs": ["data/count.txt"],
    }
    fit = stages.pop("train")
    fit["cmd"] = fit["cmd"].replace("stages.train", "stages.fit")
    stages["fit"] = fit
    for name in ("fit", "evaluate", "register"):
        deps = [dep.replace("data/processed", "data/chosen") for dep in stages[name]["deps"]]
        stages[name]["deps"] = [dep.replace("stages/train.py", "stages/fit.py") for dep in deps]
    pipeline.write_text(yaml.safe_dump(document, sort_keys=False))
    project.compose("train=debug")
    project.dvc("repro")
    project.commit("Roles")
    project.git("init", "--quiet", "--bare", str(project.root.parent / "origin.git"))
    project.git("remote", "add", "origin", str(project.root.parent / "origin.git"))
    project.git("push", "--quiet", "--set-upstream", "origin", "main")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    return project


def subjects(project: Project, dataset: str) -> list[str]:
    import pyarrow.parquet as pq

    table = pq.read_table(project.root / dataset / "manifest.parquet", columns=["subject_id"])
    return sorted(set(table["subject_id"].to_pylist()))


def left_out(project: Project) -> str:
    """Whom `choose` left out."""
    (subject,) = set(subjects(project, "data/processed")) - set(subjects(project, "data/chosen"))
    return subject


def test_what_was_renamed_and_put_between_registers_and_verifies(changed: Project, lineage: Lineage) -> None:
    version = changed.store().versions()[-1]
    proof = lineage.verify(changed, f"models:/{version.name}/{version.version}")
    assert (proof.state, proof.not_passed) == ("PASS", {})
    (run,) = changed.store().runs("fit")
    assert (version.run_id, run.data.tags["lineage_role"]) == (run.info.run_id, "model")
    assert changed.store().candidate() == str(version.version)


def test_its_dataset_version_is_traced_to_the_raw_data(changed: Project, lineage: Lineage) -> None:
    document = json.loads(lineage(changed, "trace", "models:/traceable-digits@candidate", "--json"))
    (model,) = document["models"]
    assert (
        model["dataset"]["md5"] == changed.out("choose", "data/chosen") != changed.out("preprocess", "data/processed")
    )
    assert model["raw"]["md5"] == changed.out("fetch", "data/raw")
    assert changed.lineage["dataset"]["path"] == "data/chosen"
    (run,) = changed.store().runs("choose")
    assert run.data.tags["dvc_raw_md5"] == changed.out("fetch", "data/raw")
    made = {metric: run.data.metrics[f"{metric}_subjects"] for metric in ("train", "val", "test")}
    assert sum(made.values()) == len(subjects(changed, "data/chosen"))


def test_a_stage_of_ones_own_that_reads_the_dataset_is_in_mlflow_and_in_the_audit(
    changed: Project, lineage: Lineage
) -> None:
    (run,) = changed.store().runs("count")
    assert run.data.metrics["people"] == len(subjects(changed, "data/processed"))
    assert run.data.tags["dvc_data_md5"] == changed.out("preprocess", "data/processed")
    answer = json.loads(lineage(changed, "audit", "subject", left_out(changed), "--json"))
    names = {use["name"] for use in answer["uses"]}
    assert run.info.run_id in names
    number = str(changed.store().versions()[-1].version)
    # her records were in what `choose` read, and in nothing that the model was made of
    assert f"models:/traceable-digits/{number}" not in names
    assert f"models:/traceable-digits/{int(number) - 1}" in names


def test_its_result_is_not_counted_as_a_model(changed: Project, lineage: Lineage) -> None:
    said = " ".join(lineage(changed, "audit", "subject", left_out(changed)).split())
    assert "Git holds 2 models, of which MLflow has a version of each, and results of other stages: 1; 0 models" in said
    assert "models in Git: 2, and results of other stages: 1" in lineage(changed, "verify", "--all", code=None)
    (found,) = [
        item for item in json.loads(lineage(changed, "doctor", "--json", code=None)) if item["check"] == "models"
    ]
    assert found["text"] == "MLflow has a version of each of the 2 that Git holds"


def test_a_role_that_cannot_be_is_refused(changed: Project) -> None:
    pipeline = changed.root / "dvc.yaml"
    text = pipeline.read_text()
    try:
        for before, after, said in (
            ("dataset: data/chosen", "datas: data/chosen", "stage choose names the role datas; there are raw, consent"),
            ("dataset: data/chosen", "dataset: data/else", "stage choose says that data/else is the dataset"),
        ):
            pipeline.write_text(text.replace(before, after))
            assert said in changed.dvc("repro", "--single-item", "count", "--force", code=255)
        document = yaml.safe_load(text)
        document["stages"]["fit"]["deps"].append("data/processed")
        pipeline.write_text(yaml.safe_dump(document, sort_keys=False))
        said = "stage fit reads data/chosen and data/processed, and a model is traced to one dataset version"
        assert said in changed.dvc("repro", "--single-item", "count", "--force", code=255)
    finally:
        pipeline.write_text(text)


def test_editing_meta_runs_nothing(baseline: Project, tmp_path: Path) -> None:
    project = baseline.clone(tmp_path / "project")
    pipeline = project.root / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace("        raw: data/raw\n        dataset", "        dataset"))
    assert "preprocess" not in project.dvc("status")
