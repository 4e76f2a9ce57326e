"""Every export against the validator of its standard, and damaged ones, so that each validator is seen to refuse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from validators import with_evidence, with_validators

import lineage.contract

from .sample_lineage import SECRETS

ROOT, TESTS = Path(lineage.contract.__file__).parents[1], Path(__file__).parents[1]

WRITE = """
import sys
from pathlib import Path
from framework.sample_lineage import IDS, document, facts
from lineage.evidence.export import export, write
from lineage.evidence.ids import search_among
from lineage.evidence.standards import Standard

unknown = dict(started=None, ended=None, proved=None, data_commit=None, data_committed=None, split_by=None)
little = document(consent=None, pretrained=None)
little["training_run"]["started_from"] = {}
little["dataset"]["subjects_by_split"] = {"train": None, "test": None}
several = document()
several["dataset"]["classes"] = ["PAT-00023", "other"]
scarce = facts(little, **unknown, framework=None, decisions=())
for name, known in {"whole": facts(), "little": scarce, "faces": facts(several)}.items():
    for standard in Standard:
        if standard is Standard.openlineage and name == "little":
            continue
        is_folder = standard is Standard.ro_crate
        made = export(known, standard, search_among(lambda: [IDS]))
        folder = Path(sys.argv[1]) / name
        folder.mkdir(exist_ok=True)
        write(made, folder / ("ro-crate" if is_folder else next(iter(made.files))), is_folder=is_folder)
"""
NAMES = {
    "cyclonedx.json",
    "spdx.json",
    "croissant.json",
    "prov.json",
    "openlineage.json",
    "ro-crate/ro-crate-metadata.json",
    "README.md",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of a model of which all is known, of one of which little is, and of one whose classes are people."""
    folder = tmp_path_factory.mktemp("exports")
    paths = os.pathsep.join([str(ROOT), str(TESTS)])
    variables = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([with_evidence(), "-c", WRITE, folder], check=True, env=variables)
    return folder


@pytest.fixture(scope="module")
def answers(folder: Path) -> dict[str, dict[str, list[str]]]:
    """What the validators say of whole, scarce and damaged exports."""
    damage(shutil.copytree(folder / "whole", folder / "damaged"))
    places = [folder / name for name in ("whole", "little", "faces", "damaged")]
    variables = {**os.environ, "HOME": str(folder)}
    command = [with_validators(), TESTS / "validate_exports.py", *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    assert done.returncode == 0, done.stderr[-3000:]
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {place.name: answer for place, answer in zip(places, said, strict=True)}


def damage(folder: Path) -> None:
    """One thing that its standard does not allow, in each."""

    def change(name: str, edit: Any) -> None:
        document = json.loads((folder / name).read_text())
        edit(document)
        (folder / name).write_text(json.dumps(document))

    change("cyclonedx.json", lambda d: d["metadata"]["component"]["modelCard"].update(mood="good"))
    change("spdx.json", lambda d: next(e for e in d["@graph"] if "dataset_datasetType" in e).pop("dataset_datasetType"))
    change("croissant.json", lambda d: d["distribution"][0].pop("encodingFormat"))
    change("prov.json", lambda d: d.update(wasMadeBy=d.pop("wasGeneratedBy")))
    change("openlineage.json", lambda d: d[0].pop("eventTime"))
    change("ro-crate/ro-crate-metadata.json", lambda d: d["@graph"][1].pop("license"))
    card = folder / "README.md"
    card.write_text(card.read_text().replace("      value: 0.9\n", "", 1))


def test_nothing_leaves_that_must_not(folder: Path) -> None:
    """Of any of the eight, that of PROV too, which test_export.py cannot make."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"whole", "little", "faces", "ro-crate"} <= {path.parent.name for path in files}
    found = {path: path.read_text() for path in files}
    assert [path for path, text in found.items() for secret in SECRETS if secret in text] == []


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_whole_export_is_valid(name: str, answers: dict[str, dict[str, list[str]]]) -> None:
    assert answers["whole"][name] == []
    assert answers["faces"][name] == []


@pytest.mark.parametrize("name", sorted(NAMES - {"openlineage.json"}))
def test_so_is_one_of_which_little_is_known(name: str, answers: dict[str, dict[str, list[str]]]) -> None:
    assert answers["little"][name] == []


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_damaged_one_is_not(name: str, answers: dict[str, dict[str, list[str]]]) -> None:
    assert answers["damaged"][name] != []
