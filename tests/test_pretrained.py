"""A model that started from the weights of others: they are an input like any other, and what they saw is unknown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from baked import Project
from command import Lineage
from servers import served

MODEL = "models:/traceable-digits/2"
WEIGHTS = "models/pretrained.pth"
MAKE = """
import sys, torch
from torchvision.models import mobilenet_v3_small
torch.manual_seed(3)
torch.save(mobilenet_v3_small().state_dict(), sys.argv[1])
"""
PREDICT = """
import io, mlflow, numpy, pandas
from PIL import Image
mlflow.set_tracking_uri("sqlite:///mlflow.db")
image = io.BytesIO()
Image.fromarray(numpy.full((40, 40), 90, numpy.uint8)).save(image, format="PNG")
model = mlflow.pyfunc.load_model("models:/traceable-digits/2")
print("sum", round(float(model.predict(pandas.DataFrame({"image": [image.getvalue()]})).sum(axis=1)[0]), 4))
"""


@dataclass
class Host:
    """A mirror of torchvision's files; they have random values."""

    folder: Path
    address: str

    @property
    def sha256(self) -> str:
        return sha256((self.folder / "w.pth").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def host(installed: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    installed.run("python", "-c", MAKE, str(folder / "w.pth"))
    shutil.copyfile(folder / "w.pth", folder / "tampered.pth")
    with (folder / "tampered.pth").open("r+b") as file:
        file.seek(5000)
        file.write(b"?")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as address:
        yield Host(folder, address)


def compose(project: Project, lineage: Lineage, host: Host, *overrides: str) -> None:
    quick = ("train=debug", "data.image.size=32", "data.fraction=0.2", "train.batch_size=64")
    weights = (f"weights.url={host.address}/w.pth", f"weights.sha256={host.sha256}")
    lineage(project, "compose", "model=mobilenet_v3_small", "model.pretrained=true", *weights, *quick, *overrides)


@dataclass
class Trained:
    """A copy of the default project with a second model, which is fine-tuned."""

    project: Project
    since: str  # a moment between the first model and the second


@pytest.fixture(scope="module")
def trained(default: Project, lineage: Lineage, host: Host, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("pretrained")
    project = default.copy(folder)
    project.add_origin(folder / "origin.git")
    lineage(project, "link")
    since = datetime.now(UTC).isoformat()
    compose(project, lineage, host)
    assert "Running stage 'weights@imagenet'" in project.dvc("repro")
    project.commit("Fine-tuned")
    project.git("push", "--quiet", "origin", "main")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    return Trained(project, since)


@pytest.mark.parametrize(
    ("file", "reasons"),
    [
        ("tampered.pth", ["SHA-256", "Nothing of it was used or kept"]),
        ("missing.pth", ["404", "-S model.pretrained=false", "name a mirror in weights.url"]),
        (None, ["-S model.pretrained=false", "name a mirror in weights.url"]),
    ],
)
def test_weights_that_are_wrong_or_out_of_reach_are_told_in_a_sentence(
    file: str | None, reasons: list[str], linked: Project, lineage: Lineage, host: Host, tmp_path: Path
) -> None:
    project = linked.copy(tmp_path)
    address = f"{host.address}/{file}" if file else "http://127.0.0.1:9/w.pth"  # where nobody listens
    compose(project, lineage, host, f"weights.url={address}")
    output = project.dvc("repro", "weights@imagenet", code=255)
    said = next(line for line in output.splitlines() if line.startswith("weights: "))
    assert address in said
    assert all(reason in said for reason in reasons)
    assert "Traceback" not in output
    assert not (project.root / WEIGHTS).exists()


def test_the_run_the_version_and_the_chain_name_the_weights(trained: Trained, host: Host, lineage: Lineage) -> None:
    project, url = trained.project, f"{host.address}/w.pth"
    expected = {"pretrained_sha256": host.sha256, "pretrained_url": url}
    run = project.store().runs("train")[-1]
    assert expected.items() <= run.data.tags.items()
    assert run.data.params["weights.sha256"] == host.sha256
    assert run.data.params["weights.url"] == url
    assert expected.items() <= project.version_tags("2").items()
    document = project.lineage
    assert document["pretrained"]["sha256"] == document["training_run"]["pretrained_sha256"] == host.sha256
    assert document["pretrained"]["md5"] == project.out("weights@imagenet", WEIGHTS)
    assert document["pretrained"]["url"] == url
    assert f"{url}, SHA-256 {host.sha256}" in lineage(project, "trace", MODEL)
    # models that started from random weights name none
    assert "pretrained_sha256" not in project.version_tags("1")


def test_it_is_proved_and_damage_to_the_weights_is_found(trained: Trained, lineage: Lineage) -> None:
    project = trained.project
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})
    kept = project.object(project.out("weights@imagenet", WEIGHTS))
    before = kept.read_bytes()
    kept.chmod(0o644)
    kept.write_bytes(before[:-1] + b"?")
    assert WEIGHTS in lineage.verify(project, MODEL, "--rehash").not_passed["DVC remote"]
    kept.write_bytes(before)
    project.sql("UPDATE model_version_tags SET value = ? WHERE key = 'pretrained_sha256'", "0" * 64)
    assert "pretrained_sha256" in lineage.verify(project, MODEL).not_passed["version"]
    project.sql(
        "UPDATE model_version_tags SET value = ? WHERE key = 'pretrained_sha256'",
        project.lineage["pretrained"]["sha256"],
    )


def test_an_audit_cannot_tell_what_the_weights_have_seen(trained: Trained, lineage: Lineage, tmp_path: Path) -> None:
    project = trained.project
    left_out = min(_subjects(project, "1") - _subjects(project, "2"))
    question = ("audit", "excluded", left_out, "--since", trained.since)
    status, output, _ = lineage.run(project, *question, "--json")
    document = json.loads(output)
    assert (status, document["verdict"]) == (2, "INCONCLUSIVE")
    assert len(document["reasons"]) == 2  # the version and its training run
    assert all("it started from weights whose data are unknown" in reason for reason in document["reasons"])
    # Git knows it as well
    damaged = project.copy(tmp_path)
    for table in ("model_version_tags", "tags"):
        assert damaged.sql(f"DELETE FROM {table} WHERE key = 'pretrained_sha256'") == 1
    status, output, _ = lineage.run(damaged, *question, "--json")
    assert (status, json.loads(output)["verdict"]) == (2, "INCONCLUSIVE")
    assert "Git says it started from other weights" in " ".join(json.loads(output)["reasons"])


def _subjects(project: Project, number: str) -> set[str]:
    listing = project.listing(project.version_tags(number)["dvc_data_md5"])
    (manifest,) = [entry["md5"] for entry in listing if entry["relpath"] == "manifest.parquet"]
    return set(pq.read_table(project.object(manifest), columns=["subject_id"])["subject_id"].to_pylist())


def test_with_their_address_gone_it_is_restored_loaded_and_made_anew(
    trained: Trained, host: Host, lineage: Lineage, tmp_path: Path
) -> None:
    project = trained.project.copy(tmp_path / "later")
    shutil.rmtree(project.root / ".dvc" / "cache")
    shutil.rmtree(project.root / ".dvc" / "tmp" / "kept")
    (project.root / WEIGHTS).unlink()
    (host.folder / "w.pth").rename(tmp_path / "gone.pth")
    try:
        lineage(project, "restore", MODEL, "--to", str(tmp_path / "restored"))
        assert (tmp_path / "restored" / WEIGHTS).read_bytes() == (tmp_path / "gone.pth").read_bytes()
        assert "bit-identical, 14 of 14 outputs" in lineage(project, "reproduce", MODEL, "--here")
    finally:
        (tmp_path / "gone.pth").rename(host.folder / "w.pth")
    assert "sum 1.0" in project.run("python", "-W", "ignore", "-c", PREDICT)
    source = project.store().client.get_model_version("traceable-digits", "2").source
    needed = next((project.root / "mlartifacts").rglob(f"{source.removeprefix('models:/')}/**/requirements.txt"))
    assert "torchvision==" in needed.read_text()


def test_a_network_that_starts_from_random_weights_has_no_such_stage(linked: Project) -> None:
    assert not any(stage.startswith("weights") for stage in linked.lock)
    assert "weights" not in linked.dvc("stage", "list", "--name-only").split()
