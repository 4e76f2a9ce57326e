"""What counts as a project's own in a bucket: an address and what lies below it, and nothing that only begins so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lineage.account.below import _folder
from lineage.account.evidence import served_by
from lineage.account.jobs import Job, report_of, waiting_pool
from lineage.account.left import Left, age, below, parted, young
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


def test_what_is_young_stays() -> None:
    yesterday = datetime.now(UTC) - timedelta(hours=20)
    assert young(yesterday, 1.0) == "it was made less than a day ago"
    assert young(yesterday, 7.0, "the job ended") == "the job ended less than 7 days ago"
    assert young(yesterday, 0.5) == ""
    assert young(None, 1.0)  # nobody says when
    assert young(None, 0.0) == ""


def version(number: str, identity: str, endpoint: str = "") -> Any:
    tags = {"model_identity": identity, **({"endpoint": endpoint} if endpoint else {})}
    return SimpleNamespace(name="scans", version=number, tags=tags)


def serves(*versions: Any, status: str = "InService", number: str = "1") -> str:
    """Why the endpoint `prod` stays, whose tags say that it serves that version of the model `a`."""
    tags = {"lineage:model": f"models:/scans/{number}", "lineage:model_identity": "a"}
    return served_by(versions, "prod", status, tags if number else {})


def test_an_endpoint_that_answers_goes_only_if_its_version_says_that_it_serves_no_more() -> None:
    assert "models:/scans/1 serves there" in serves(version("1", "a", "prod"))
    assert "models:/scans/2 serves there" in serves(version("1", "a"), version("2", "b", "test, prod"))
    assert serves(version("1", "a", "test")) == ""
    for others in ((), (version("1", "b"),), (version("2", "a"),)):  # of another store: its own is not known
        assert "it answers requests with models:/scans/1, and no MLflow store" in serves(*others)
        assert serves(*others, status="Failed") == ""
    assert "with what its tags do not say" in serves(version("1", "a"), number="")


@pytest.mark.parametrize("spec", [b"", b"no JSON", b"\xff", b"[1]", b"null", b'{"report": null}', b"{}"])
def test_what_is_no_specification_of_a_job_names_no_report(spec: bytes) -> None:
    assert report_of(spec) == ""
    assert report_of(b'{"report": "s3://b/p/reports/1.json"}') == "s3://b/p/reports/1.json"


def test_instances_that_wait_are_named_and_stay() -> None:
    said = {
        "TrainingJobName": "digits-train-x",
        "TrainingJobStatus": "Completed",
        "TrainingEndTime": datetime(2026, 1, 31, 8, tzinfo=UTC),
        "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2, "KeepAlivePeriodInSeconds": 600},
        "WarmPoolStatus": {"Status": "Available", "ResourceRetainedBillableTimeInSeconds": 30},
    }
    waiting = waiting_pool(Job("Training", said))
    assert waiting is not None
    assert (waiting.kind, waiting.cost) == ("warm-pool", "2 x ml.g5.xlarge, 60 seconds of an instance so far")
    assert "until 2026-01-31T08:10:00+00:00. `lineage aws warm-pools --end`" in waiting.kept
    assert waiting_pool(Job("Training", {**said, "WarmPoolStatus": {"Status": "Terminated"}})) is None
    assert waiting_pool(of_pipeline("Completed")) is None


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
