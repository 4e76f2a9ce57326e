"""Images below an s3:// prefix: what is there, what has changed, and what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_standin import faults
from cloud import REGION
from photographs import photograph, photographs
from servers import aws_standin
from stages import Workshop

PHOTOS = {f"nature/2024/{path}": data for path, data in photographs().items()}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s3")


@pytest.fixture(scope="module")
def environment(state: Path) -> Iterator[dict[str, str]]:
    with aws_standin(state, {}) as endpoint:
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_EC2_METADATA_DISABLED": "true"}
        yield {**keys, "AWS_REGION": REGION, "AWS_ENDPOINT_URL": endpoint}


@pytest.fixture(scope="module")
def s3(environment: dict[str, str]) -> Any:
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y", "region_name": REGION}
    client = boto3.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"], **keys)
    client.create_bucket(Bucket="photos", CreateBucketConfiguration={"LocationConstraint": REGION})
    for key, data in {
        **PHOTOS,
        "nature/2024/cat/": b"",
        "nature/2024/.DS_Store": b"x",
        "nature/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg": photograph(60, 1),
        "nature/2023/a.jpg": b"",
    }.items():
        client.put_object(Bucket="photos", Key=key, Body=data)
    return client


def configure(workshop: Workshop, address: str) -> None:
    workshop.compose("data=image_folder", f"data.source.path='{address}'")


def test_a_prefix_is_read_and_a_change_is_seen(workshop: Workshop, environment: dict[str, str], s3: Any) -> None:
    configure(workshop, "s3://photos/nature/2024")
    listing = workshop.root / "data" / "listing.json"
    workshop.run("listing", **environment)
    workshop.run("fetch", **environment)
    assert {record["record_id"]: record["image"] for record in workshop.records()} == photographs()
    before = listing.read_text()
    workshop.run("listing", **environment)
    assert listing.read_text() == before

    s3.put_object(Bucket="photos", Key="nature/2024/cat/IMG 000.JPG", Body=photograph(61, 1))
    assert "changed while it was read" in workshop.refusal("fetch", **environment)
    workshop.run("listing", **environment)
    assert listing.read_text() != before
    workshop.run("fetch", **environment)
    assert photograph(61, 1) in [record["image"] for record in workshop.records()]


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("s3://photos/nature/1999", "there are no images in s3://photos/nature/1999, nor anything else"),
        ("s3://no-such-bucket/x", "s3://no-such-bucket/x could not be read: "),
        ("s3://photos/nature/2023", "without a class directly in s3://photos/nature/2023: 'a.jpg'"),
    ],
)
@pytest.mark.usefixtures("s3")
def test_a_prefix_that_cannot_be_right(
    workshop: Workshop, environment: dict[str, str], address: str, sentence: str
) -> None:
    configure(workshop, address)
    assert sentence in workshop.refusal("listing", **environment)


@pytest.mark.usefixtures("s3")
def test_no_credentials_and_no_permission(workshop: Workshop, environment: dict[str, str], state: Path) -> None:
    configure(workshop, "s3://photos/nature/2024")
    nobody = {name: "" if "KEY" in name else value for name, value in environment.items()} | {"HOME": str(state)}
    assert "credentials" in workshop.refusal("listing", **nobody)
    workshop.run("listing", **environment)
    denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    faults.order(state, "GET /photos/nature/2024/dog/IMG.*", status="403 Forbidden", body=denied)
    sentence = workshop.refusal("fetch", **environment)
    faults.forget(state)
    assert "'dog/IMG" in sentence
    assert "Access Denied" in sentence
