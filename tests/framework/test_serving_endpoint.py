from __future__ import annotations

import base64
import copy
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from scans.settings import Settings

from lineage.base.errors import DataError
from lineage.compute.sagemaker.tags import tag_value
from lineage.judgement.captured import OF_DEPLOY, find_requests, images_of
from lineage.serving.endpoint import endpoint_name
from lineage.settings import select
from lineage.settings.serving import Serving

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")  # as SageMaker wants it
VALUE = re.compile(r"[\w .:/=+\-@]{0,256}")


@given(name=st.tuples(st.text(max_size=70), st.sampled_from("aZ7"), st.text(max_size=70)).map("".join))
def test_an_endpoint_is_called_as_the_model_as_far_as_sagemaker_lets_it(name: str) -> None:
    settings = Settings.model_construct(
        serving=Serving.model_construct(endpoint=_Named(name=None)), tracking=_Named(model_name=name)
    )
    assert NAME.fullmatch(endpoint_name(settings))


class _Named:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


@given(text=st.text())
def test_any_text_becomes_the_value_of_a_tag(text: str) -> None:
    assert VALUE.fullmatch(tag_value(text))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("limits.megabytes", 0),
        ("limits.megabytes", 101),
        ("limits.seconds", 0),
        ("limits.images", 0),
        ("limits.waiting", -1),
        ("limits.threads", 0),
        ("limits.megabyte", 1),
        ("endpoint.name", "with_underscore"),
        ("endpoint.name", "x" * 64),
        ("endpoint.instance_type", "m5.large"),
        ("endpoint.role", "arn:aws:iam::1:role/x"),
        ("endpoint.capture.percent", 101),
        ("endpoint.capture.address", "https://bucket/x"),
        ("endpoint.capture.address", "s3://key@bucket/x"),
        ("endpoint.canary.minutes", 61),
        ("endpoint.canary.alarms", [""]),
    ],
)
def test_settings_that_cannot_be(params: dict[str, Any], key: str, value: object) -> None:
    document = copy.deepcopy(params["serving"])
    Serving.model_validate(document)
    parent, _, last = key.rpartition(".")
    select(document, parent)[last] = value
    with pytest.raises(ValidationError):
        Serving.model_validate(document)


def kept(data: bytes | str, kind: str = "image/png", encoding: str = "BASE64") -> str:
    text = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    given = {"observedContentType": kind, "mode": "INPUT", "data": text, "encoding": encoding}
    return json.dumps({"captureData": {"endpointInput": given}, "eventVersion": "0"})


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_kept_requests_of_one_image_each(tmp_path: Path) -> None:
    (tmp_path / "AllTraffic").mkdir()
    lines = [
        kept(png(1)),
        "",
        kept(png(2), "IMAGE/PNG; x=y"),
        kept("{}", "application/json", "JSON"),
        kept("*", "image/png"),
    ]
    (tmp_path / "AllTraffic" / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "b.jsonl").write_text(kept(png(3), "application/x-image") + "\n")
    said: list[str] = []
    found = find_requests(tmp_path, said)
    images = {name: image for some in images_of(found) for name, image in some}
    assert images == {
        "AllTraffic/a.jsonl:1": png(1),
        "AllTraffic/a.jsonl:3": png(2),
        "AllTraffic/a.jsonl:5": b"",  # cannot be read, and is counted as such
        "b.jsonl:1": png(3),
    }
    assert said == [f"requests of application/json {OTHERS}: 1"]


OTHERS = "in another form than docs/serving.md has, left out"


@pytest.mark.parametrize("encoding", ["JSON", "BASE64"])  # as the endpoint is told which types are text
def test_kept_json_is_read_image_by_image(tmp_path: Path, encoding: str) -> None:
    one, two = (base64.b64encode(png(value)).decode() for value in (1, 2))
    forms: list[Any] = [
        {"instances": [one, {"image": two}]},
        {"dataframe_records": [{"image": one, "ward": 3}]},
        {"dataframe_split": {"columns": ["ward", "image"], "data": [[3, two]]}},
    ]
    others: list[Any] = [
        {"instances": [one, {"picture": two}]},
        {"instances": []},
        {"dataframe_split": {"columns": ["picture"], "data": [[two]]}},
        {"instances": [one], "parameters": {}},
        [one],
    ]
    texts = [json.dumps(document) for document in [*forms, *others]] + ["no JSON", "[" * 100_000]
    lines = [
        kept(text if encoding == "JSON" else text.encode(), "application/json; charset=utf-8", encoding)
        for text in texts
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    said: list[str] = []
    found = find_requests(tmp_path, said)
    images = {name: image for some in images_of(found) for name, image in some}
    assert images == {
        "a.jsonl:1#1": png(1),
        "a.jsonl:1#2": png(2),
        "a.jsonl:2#1": png(1),
        "a.jsonl:3#1": png(2),
    }
    assert said == [f"requests of application/json {OTHERS}: 7"]


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"captureData": {}}', '{"captureData": {"endpointInput": []}}'])
def test_lines_that_are_none_of_data_capture(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(f"{kept(png(1))}\n{line}\n")
    with pytest.raises(DataError, match=r"a\.jsonl:2 is no line of SageMaker's data capture"):
        find_requests(tmp_path, [])


def test_what_deploy_itself_has_asked_is_left_out_and_said(tmp_path: Path) -> None:
    document = json.loads(kept(png(1)))
    by_deploy = json.dumps({**document, "eventMetadata": {"inferenceId": OF_DEPLOY}})
    by_another = json.dumps({**document, "eventMetadata": {"inferenceId": "7"}})
    (tmp_path / "a.jsonl").write_text(f"{by_deploy}\n{by_another}\n")
    said: list[str] = []
    assert [each.name for each in find_requests(tmp_path, said)] == ["a.jsonl:2"]
    assert said == ["requests of `lineage deploy` itself, with the example of the model, left out: 1"]


def test_requests_of_which_none_has_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(kept("{}", "application/json", "JSON"))
    with pytest.raises(DataError, match="no image is in the requests"):
        find_requests(tmp_path, [])


def test_a_folder_without_such_files_has_none(tmp_path: Path) -> None:
    assert find_requests(tmp_path, []) == []
