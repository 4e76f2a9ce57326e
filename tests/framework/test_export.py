"""What an export says, what it never says, and that what is unknown is said to be unknown."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from lineage.base.errors import LineageError, ProjectError
from lineage.evidence import export as exporting
from lineage.evidence.export import export, write
from lineage.evidence.formats.annex_iv import sections_of
from lineage.evidence.ids import require_no_ids, search_among
from lineage.evidence.standards import Standard

from .sample_lineage import COMMIT, IDS, PERSON, RECORD, SECRETS, SLASHED, document, facts

SEARCH = search_among(lambda: [IDS])
OWN = [standard for standard in Standard if standard is not Standard.prov]  # that needs a package: test_standards.py


def texts(**known: Any) -> dict[str, str]:
    """The texts of every export that needs no further package."""
    return {str(standard): "".join(export(facts(**known), standard, SEARCH).files.values()) for standard in OWN}


@pytest.mark.parametrize("standard", OWN)
def test_nothing_leaves_that_must_not(standard: Standard) -> None:
    text = "".join(export(facts(), standard, SEARCH).files.values())
    assert "scans" in text
    assert [secret for secret in SECRETS if secret in text] == []


def test_names_of_people_in_classes_are_left_out() -> None:
    faces = document()
    faces["dataset"]["classes"] = [PERSON, "zebra"]
    for standard in OWN:
        text = "".join(export(facts(faces), standard, SEARCH).files.values())
        assert PERSON not in text, standard
        assert "zebra" not in text, standard
    assert facts(faces).class_count == 2


def test_a_slice_that_is_called_after_a_person_is_left_out() -> None:
    named = document()
    scores = named["metrics"]["test"]
    scores["slices"] = {f"reader:{PERSON}": scores["slices"]["site:A"]}
    scores["worst_slice"] = f"reader:{PERSON}"
    assert facts(named).worst_slice is None
    text = export(facts(named), Standard.annex_iv, SEARCH).files["annex-iv.md"]
    assert "1 groups were looked at; none is named here" in text


def test_what_still_holds_an_id_is_not_written() -> None:
    """As where a stage of one's own has an output that is called after a person."""
    named = document()
    named["outputs"][0]["path"] = f"metrics/{PERSON}.json"
    with pytest.raises(
        LineageError, match=r"outputs\[1\]\.name of what was to leave holds the id of a record or a subject"
    ) as told:
        export(facts(named), Standard.openlineage, SEARCH)
    assert PERSON not in str(told.value)


@pytest.mark.parametrize(
    ("value", "is_found"),
    [
        ({"a": [{"b": f"of {RECORD}."}]}, True),
        ({RECORD: 1}, True),
        (f"see `{RECORD}.png`", True),
        (f"plots/of_{PERSON}-2.tar.gz", True),
        (f"{PERSON}!", True),
        (f"*{PERSON}*", True),
        (f"%{PERSON}", True),
        (f"q={PERSON}&z", True),
        (f"a {PERSON.lower()} b", True),
        (f"rests on {SLASHED} too", True),
        (f"over/{SLASHED}.png", True),
        (f"?path={quote(SLASHED, safe='')}", True),
        (f"rests on {SLASHED}0 too", False),
        ("class of PAT\n 23 here", True),
        ("class of PAT 235 here", False),
        ("of R&amp;D lab", True),
        ("(★★★★)", True),
        ("-".join([*"abcdefghijklmnopqrstuvw", PERSON]), True),
        ({"a": f"{RECORD}0"}, False),  # another word
        ({"a": "raw/5005.png"}, True),
        ("5005 of them", True),
        ({"a": "on-5005-05"}, False),  # a number: it may be a year
        ({"a": "0.5005"}, False),
        ({"a": "5005.5"}, False),
        ({"a": "7", "b": 7}, False),  # an id of one character: it would stand in every document
    ],
)
def test_where_ids_are_looked_for(value: Any, is_found: bool) -> None:
    if is_found:
        with pytest.raises(LineageError, match="holds the id"):
            require_no_ids(value, SEARCH)
    else:
        require_no_ids(value, SEARCH)


def test_the_scores_the_data_and_the_commit_are_in_each_that_is_about_the_model() -> None:
    found = texts()
    for standard in ("cyclonedx", "spdx", "ro-crate", "model-card", "annex-iv"):
        assert COMMIT in found[standard], standard
        assert "9" * 64 in found[standard], standard
    bom = json.loads(found["cyclonedx"])
    metrics = bom["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert metrics[0] == {
        "type": "test.accuracy",
        "value": "0.9",
        "confidenceInterval": {"lowerBound": "0.8", "upperBound": "0.95"},
    }
    assert metrics[-1]["slice"] == "site:A"
    # of the lock, what is for the machine that trained
    assert [part["purl"] for part in bom["components"] if part["type"] == "library"] == [
        "pkg:pypi/numpy@2.4.6",
        "pkg:pypi/torch@2.15.0",
    ]


def test_the_same_model_has_the_same_name_in_a_bill_of_materials() -> None:
    one, two = (
        json.loads(export(facts(**known), Standard.cyclonedx, SEARCH).files["cyclonedx.json"])
        for known in ({}, {"started": None})
    )
    assert one["serialNumber"] == two["serialNumber"]


def test_openlineage_is_two_events_with_versions_and_the_source() -> None:
    start, complete = json.loads(texts()["openlineage"])
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert (start["eventTime"], complete["eventTime"]) == ("2026-05-01T11:57:00+00:00", "2026-05-01T11:59:00+00:00")
    assert start["run"]["runId"] == complete["run"]["runId"]
    versions = {each["name"]: each["facets"]["version"]["datasetVersion"] for each in complete["inputs"]}
    assert versions["data/processed"] == f"{'9' * 32}.dir"
    assert complete["job"]["facets"]["sourceCodeLocation"]["version"] == COMMIT
    assert [each["name"] for each in complete["outputs"]] == [
        "models/model.safetensors",
        "models/run.json",
        "metrics/test.json",
    ]
    with pytest.raises(LineageError, match="it is unknown when the training run"):
        export(facts(ended=None), Standard.openlineage, SEARCH)


def test_the_annex_has_its_nine_sections_and_says_what_is_missing() -> None:
    sections = sections_of(facts())
    assert [section.number for section in sections] == list(range(1, 10))
    assert [len(section.points) for section in sections] == [8, 8, 3, 1, 1, 1, 1, 1, 1]
    for section in sections:
        for point in section.points:
            assert point.known or point.missing, (section.number, point.letter)
    text = texts()["annex-iv"]
    assert "Asked before champion on 2026-05-01: verified PASS, drift INCONCLUSIVE" in text
    assert "Its chain on 2026-05-01T12:00:00+00:00: PASS, 2 of 2 links passed." in text
    assert "- **Missing:** The intended purpose, and who the provider is." in text
    assert "test.loss = 0.25 (no interval was computed)" in text


def test_the_annex_as_a_page_can_be_printed_and_needs_no_network() -> None:
    page = export(facts(), Standard.annex_iv, SEARCH, as_page=True).files["annex-iv.html"]
    assert "@media print" in page
    assert "@page" in page
    assert not any(word in page for word in ("<script", "http://", "https://", "src="))
    assert page.count('class="missing"') == sum(bool(p.missing) for s in sections_of(facts()) for p in s.points)


def test_what_is_unknown_is_said_to_be() -> None:
    unknown = {"started": None, "ended": None, "proved": None, "data_commit": None, "split_by": None, "decisions": ()}
    nothing = document(consent=None, pretrained=None)
    nothing["dataset"]["subjects_by_split"] = {"train": None}
    nothing["training_run"] = {"md5": "6" * 32}
    known = facts(nothing, **unknown)
    annex = export(known, Standard.annex_iv, SEARCH).files["annex-iv.md"]
    assert "Training took an unknown time." in annex
    assert "It was trained on: unknown." in annex
    assert "How records were split is unknown here" in annex
    assert "Whether the chain holds was not asked for this document" in annex
    assert "an unknown number of subjects" in annex
    card = export(known, Standard.model_card, SEARCH).files["README.md"]
    assert "Unknown: nobody has recorded an intended use." in card
    assert "- data commit: `unknown`" in card
    assert "No consent registry was asked" in card
    assert known.packages == {}
    bom = json.loads(export(known, Standard.cyclonedx, SEARCH).files["cyclonedx.json"])
    assert bom["compositions"][0]["aggregate"] == "unknown"


def test_the_card_has_metadata_that_yaml_reads() -> None:
    text = texts()["model-card"]
    head = yaml.safe_load(text.split("---\n")[1])
    (result,) = head["model-index"][0]["results"]
    assert result["dataset"]["revision"] == f"{'9' * 32}.dir"
    assert [metric["type"] for metric in result["metrics"]] == ["accuracy", "loss"]
    assert "license" not in head


def test_a_crate_is_a_folder_with_the_other_exports(tmp_path: Any) -> None:
    made = export(facts(), Standard.ro_crate, SEARCH)
    paths = write(made, tmp_path / "crate", is_folder=True)
    listed = json.loads((tmp_path / "crate" / "ro-crate-metadata.json").read_text())["@graph"]
    files = {entity["@id"] for entity in listed if entity["@type"] == "File"}
    assert files == {path.name for path in paths} - {"ro-crate-metadata.json"} == {*exporting.IN_CRATE}
    with pytest.raises(ProjectError, match="is not an empty folder"):
        write(made, tmp_path / "crate", is_folder=True)
