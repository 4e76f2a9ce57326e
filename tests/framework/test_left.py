"""What counts as a project's own in a bucket: an address and what lies below it, and nothing that only begins so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lineage.account.below import _folder
from lineage.account.jobs import Job
from lineage.account.left import Left, age, below, parted
from lineage.account.prices import Prices, read_prices, shown
from lineage.base.errors import LineageError


@pytest.mark.parametrize(
    ("key", "is_below"),
    [
        ("s3://b/p", True),
        ("s3://b/p/", True),
        ("s3://b/p/x/y", True),
        ("s3://b/p2", False),
        ("s3://b/p2/x", False),
        ("s3://b2/p/x", False),
        ("s3://b", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("address", ["s3://b/p", "s3://b/p/"])
def test_below(address: str, key: str, is_below: bool) -> None:
    assert below([address], key) == is_below
    assert not below([], key)


def test_an_address_has_a_bucket_and_a_key() -> None:
    assert parted("s3://bucket/a/b c") == ("bucket", "a/b c")


def test_what_has_a_reason_stays() -> None:
    assert Left("model", "x", "nothing").goes
    assert not Left("model", "x", "nothing", "it is used").goes


def test_the_age_of_what_has_no_moment_is_nothing() -> None:
    assert age(None) == 0
    assert 59 < age(datetime.now(UTC) - timedelta(minutes=1)) < 70


def of_pipeline(status: str) -> Job:
    return Job("Training", {"TrainingJobName": "pipelines-abc-train-x", "TrainingJobStatus": status})


def test_what_a_pipeline_that_stays_runs_again_stays() -> None:
    assert "collect" in of_pipeline("Completed").objects_kept(0, pipelines_stay=False)
    assert "run its code again" in of_pipeline("Failed").objects_kept(0, pipelines_stay=True)
    assert of_pipeline("Failed").objects_kept(0, pipelines_stay=False) == ""
    alone = Job("Training", {"TrainingJobName": "digits-train-x", "TrainingJobStatus": "Failed"})
    assert alone.objects_kept(0, pipelines_stay=True) == ""


def test_checkpoints_are_among_the_places_of_a_job() -> None:
    said = {
        "TrainingJobName": "digits-train-x",
        "InputDataConfig": [{"DataSource": {"S3DataSource": {"S3Uri": "s3://b/p/digits-train-x/input/code"}}}],
        "OutputDataConfig": {"S3OutputPath": "s3://b/p/output/"},
        "CheckpointConfig": {"S3Uri": "s3://b/p/checkpoints/k"},
    }
    places = {"s3://b/p/digits-train-x/input/code", "s3://b/p/output/digits-train-x", "s3://b/p/checkpoints/k"}
    assert {place for place in Job("Training", said).places() if place} == places


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        ("serving/abc/model.tar.gz", "serving/abc"),
        ("pipelines/code/abc/launch.py", "pipelines/code/abc"),
        ("pipelines/digits/e1/reports/train.json", "pipelines/digits/e1"),
        ("pipelines/digits/definition.json", "pipelines/digits"),
        ("consent/registry.csv", "consent"),
        ("notes/of/somebody.txt", "notes"),
        ("notes.txt", ""),
    ],
)
def test_things_below_the_folder_of_a_project_are_told_apart(key: str, folder: str) -> None:
    assert _folder(key) == folder


def test_a_price_is_known_or_unknown_and_never_guessed() -> None:
    known = read_prices("us-east-1")
    assert known.as_of
    assert known.running([("ml.m5.large", 2)]) == pytest.approx(2 * known.instance_hour["ml.m5.large"] * 730)
    assert known.running([("ml.m5.large", 1), ("ml.of-tomorrow", 1)]) is None
    assert known.running([]) is None
    assert read_prices("mars-north-1") == Prices()
    assert Prices().stored(2**40) is None
    assert [shown(usd) for usd in (None, 0.0, 0.001, 1234.5)] == [
        "price unknown",
        "nothing",
        "less than $0.01 a month",
        "$1,234.50 a month",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "x: 1",
        "x: {gibibyte_month: 1}",  # of which day?
        "x: {as_of: a day, gibibyte_month: -1}",
        "x: {as_of: a day, price: 2}",
        "x: {as_of: a day, instance_hour: {ml.m5.large: DOLLARS}}",
    ],
)
def test_what_is_no_table_of_prices(text: str, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(LineageError, match=r"is no table of prices"):
        read_prices("us-east-1", tmp_path / "prices.yaml")
    with pytest.raises(LineageError, match=r"is no table of prices"):
        read_prices("us-east-1", tmp_path / "nowhere.yaml")
