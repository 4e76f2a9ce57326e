"""trace: the chain of a model, found from every end of it."""

from __future__ import annotations

import json
from pathlib import Path

from baked import Project
from command import Lineage

CANDIDATE = "models:/traceable-digits@candidate"


def test_trace_shows_the_chain_and_finds_it_from_every_end(linked: Project, lineage: Lineage) -> None:
    (model,) = json.loads(lineage(linked, "trace", CANDIDATE, "--json"))["models"]
    assert model["title"] == "models:/traceable-digits/2"
    assert model["result_commit"]["id"] == linked.commit_of("Second model")
    assert model["data_commit"]["id"] == linked.commit_of("First model")
    assert model["dataset"]["md5"] == linked.out("preprocess", "data/processed")
    assert sum(model["dataset"]["records"].values()) == 1797
    assert model["raw"]["md5"] == linked.out("fetch", "data/raw")
    assert model["training_run"]["parameters"]["train.seed"] == 5
    text = lineage(linked, "trace", "models:/traceable-digits/2")
    assert all(hash_ in text for hash_ in (model["identity"], model["dataset"]["md5"], model["raw"]["md5"]))
    both = ["models:/traceable-digits/1", "models:/traceable-digits/2"]
    second = both[1:]
    weights = linked.out("train", "models/model.safetensors")
    shard = next(iter(json.loads(linked.object(model["dataset"]["md5"]).read_text())))["md5"]
    ends = {
        model["training_run"]["id"]: second,
        model["identity"]: second,
        weights: second,
        "models/model.safetensors": second,
        "models": None,
        "data/processed": both,
        model["dataset"]["md5"]: both,
        model["dataset"]["sha256"]: both,
        model["raw"]["md5"]: both,
        shard: both,
        "HEAD": both,
        linked.commit_of("First model"): both,
    }
    for end, expected in ends.items():
        status, output, errors = lineage.run(linked, "trace", end, "--json")
        if expected is None:
            assert status == 1
            assert "Traceback" not in errors
        else:
            assert sorted(found["title"] for found in json.loads(output)["models"]) == expected, end


def test_a_tag_of_the_data_is_found_and_shown(project: Project, lineage: Lineage) -> None:
    project.git("tag", "-a", "data/v1.0", "-m", "First data", "HEAD~1")
    lineage(project, "link")
    assert {project.version_tags(number)["data_version"] for number in "12"} == {"v1.0"}
    assert "data/v1.0" in lineage(project, "trace", CANDIDATE)
    assert "2 models" in lineage(project, "trace", "data/v1.0")
    assert "2 models" in lineage(project, "trace", "v1.0")
    assert lineage.verify(project, CANDIDATE).not_passed == {}


def test_the_page_is_one_small_file_that_loads_nothing(linked: Project, lineage: Lineage, tmp_path: Path) -> None:
    page = tmp_path / "trace.html"
    lineage(linked, "trace", "data/processed", "--html", str(page))
    text = page.read_text()
    assert page.stat().st_size < 300_000
    assert linked.out("preprocess", "data/processed") in text
    assert "<script" not in text
    assert all(word not in text for word in ("src=", "@import", "url("))
