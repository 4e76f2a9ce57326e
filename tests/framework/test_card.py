"""The model card: what it says, and how it gets into a description that people write in as well."""

from __future__ import annotations

from typing import Any

import pytest

from lineage.chain.card import card, to_markdown
from lineage.tracking.described import LONGEST, Found, find_card, place_card

COMMIT = "c" * 40


def document(**changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "model": {"name": "scans", "identity": "1" * 64, "md5": "2" * 32, "sha256": "3" * 64, "size": 200_000},
        "training_run": {"run_id": "4" * 32, "started_from": {"git_repo_url": "git@host.example:team/scans.git"}},
        "dataset": {
            "md5": f"{'5' * 32}.dir",
            "classes": ["healthy", "ill | `x`"],
            "records": {"train": 80, "test": 20},
            "subjects_by_split": {"train": 40, "test": 10},
        },
        "raw": {"md5": f"{'6' * 32}.dir"},
        "environment": {"md5": "7" * 32},
        "parameters": {"model": {"name": "small_cnn"}, "data.source.name": "folder", "data.fraction": 0.5},
        "metrics": {"test": {"accuracy": 0.912345678, "records": 20, "subjects": 10}},
        "consent": {"md5": "8" * 32},
    }
    return {**found, **changed}


def text(**changed: Any) -> str:
    return to_markdown(card(document(**changed), "3", COMMIT))


def test_it_says_what_a_user_needs() -> None:
    lines = text().splitlines()
    assert lines[0] == "## Model card: scans 3"
    assert lines[2] == "A `small_cnn` of 0.2 MB that tells 2 classes apart: `healthy`, `ill ¦ 'x'`."
    assert "| `train` | 80 | 40 |" in lines
    assert "| `accuracy` | 0.9123 | not computed |" in lines
    assert "20 records of 10 subjects." in lines
    assert f"- result commit: [`{COMMIT}`](https://host.example/team/scans/commit/{COMMIT})" in lines
    assert f"- training run: [`{'4' * 32}`](#/runs/{'4' * 32})" in lines
    assert any('load_model("models:/scans/3")' in line for line in lines)
    assert any("`lineage verify models:/scans/3`" in line for line in lines)
    assert "a share of 0.5 of its records" in text()


def test_what_is_unknown_is_said() -> None:
    unknown = to_markdown(card(document(training_run={}, consent=None)))
    assert "- training run: unknown" in unknown
    assert "- result commit: none yet: `lineage link` names it after the commit" in unknown
    assert "- No consent registry was asked before these data were used." in unknown
    assert "- There is no interval: the test split has too few subjects for one." in unknown


def test_intervals_and_the_worst_slice() -> None:
    slices = {
        "site:A": {"accuracy": 0.75, "records": 12, "subjects": 6, "low": 0.6, "high": 0.9},
        "site:B": {"accuracy": 1.0, "records": 3, "subjects": 2, "note": "too small to say"},
    }
    scores = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 1.0, "slices": slices, "worst_slice": "site:A"}
    shown = text(metrics={"test": scores})
    assert "| `accuracy` | 0.9 | 0.8 to 1 |" in shown
    assert "accuracy_low" not in shown
    worst = "Worst of 2 slices: `site:A`, accuracy 0.75 (95%: 0.6 to 0.9), 12 records of 6 subjects."
    assert worst in shown
    assert "Too small to say: 1 of them." in shown
    assert "they may be lower" not in shown
    alone = text(metrics={"test": {"accuracy": 0.9, "slices": {"site:B": slices["site:B"]}}})
    assert "None of 1 slices is large enough to say." in alone


def test_it_fits_into_the_databases_of_mlflow() -> None:
    many = {**document()["dataset"], "classes": [f"{number} {'long ' * 60}" for number in range(1000)]}
    shown = text(dataset=many)
    assert len(shown) <= LONGEST
    assert "tells 1000 classes apart" in shown
    assert find_card(shown) == Found(shown, is_as_written=True, is_alone=True)
    limitless = {f"split {number}": 1 for number in range(1000)}
    shown = text(dataset={**many, "records": limitless})
    assert len(shown) <= LONGEST
    assert "The rest is in `lineage.json`." in shown
    assert find_card(shown) == Found(shown, is_as_written=True, is_alone=True)


def test_what_people_write_around_it_is_kept() -> None:
    before, after = text(), text(metrics={"test": {"accuracy": 1.0}})
    assert place_card(None, before) == place_card(" \n", before) == before
    theirs = f"For the night shift.\n\n{before}\n\nAsk Alice."
    assert place_card(theirs, after) == f"For the night shift.\n\n{after}\n\nAsk Alice."
    said = f"Model card of 2026, see below.\n\n{before}\n\nIt replaces the model card of 2025."
    found = find_card(said)
    assert found is not None
    assert found.is_alone


@pytest.mark.parametrize("edited", ["Our own words.", text().replace("20 records", "21 records"), text()[:-60]])
def test_what_people_have_edited_is_theirs(edited: str) -> None:
    assert place_card(edited, text()) is None


@pytest.mark.parametrize(
    "second",
    [
        text(metrics={"test": {"accuracy": 1.0}}),  # signed, as anybody can
        "## Model card: scans 3\n\nIt is right in all cases.",
        "# MODEL  CARD",
        "> ### **Model card**: scans 3",
        "Model card: scans 3\n===",
        "<h2>Model card: scans 3</h2>",
        "Scores\n\n*Card 0123456789abcdef: text above and below it is kept.*",
    ],
)
def test_a_second_card_is_found_wherever_it_stands(second: str) -> None:
    for description in (f"{text()}\n\n{second}", f"{second}\n\n{text()}", f"{text()}\n\nWords.\n\n{second}\n\nWords."):
        found = find_card(description)
        assert found is not None
        assert not (found.is_as_written and found.is_alone and found.text == text())
        assert place_card(description, text()) is None
