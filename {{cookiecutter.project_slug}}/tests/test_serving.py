from __future__ import annotations

import base64
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError
from project import serving
from project.model import checkpoint
from project.model.networks import build

from lineage.pipeline.registration import copy_code
from lineage.records.images import decode

CLASSES = ["benign", "malignant", "unclear"]


@pytest.fixture(params=[1, 3], ids=["grey", "colour"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder as MLflow stores it: the weights of an untrained network."""
    torch.manual_seed(1)
    header: dict[str, Any] = {
        "architecture": {"name": "small_cnn", "width": 4, "dropout": 0.5},
        "classes": CLASSES,
        "image_size": 16,
        "channels": request.param,
        "background": "white",
        "further_pages": "refuse",
    }
    checkpoint.save(tmp_path / serving.WEIGHTS, build(header["architecture"], request.param, len(CLASSES)), header)
    return tmp_path


@pytest.fixture
def predictor(model: Path) -> serving.Predictor:
    return serving._load_pyfunc(str(model))


def picture(kind: str, seed: int, mode: str = "RGB") -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, format=kind)
    return buffer.getvalue()


def table(*images: bytes | str) -> pd.DataFrame:
    return pd.DataFrame({"image": list(images)})


def test_png_and_jpeg_give_a_row_each_that_adds_up_to_one(predictor: serving.Predictor) -> None:
    rows = predictor.predict(table(picture("PNG", 1), picture("JPEG", 2), picture("PNG", 3, "L"), picture("JPEG", 4)))
    assert list(rows.columns) == CLASSES
    assert len(rows) == 4
    assert (rows.to_numpy() > 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)
    assert not np.allclose(rows.iloc[0], rows.iloc[1])


def test_base64_text_is_the_same_as_the_bytes(predictor: serving.Predictor) -> None:
    data = picture("PNG", 1)
    text = base64.b64encode(data).decode()
    rows = predictor.predict(table(data, text))
    pd.testing.assert_series_equal(rows.iloc[0], rows.iloc[1], check_names=False)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes_will_do(predictor: serving.Predictor, kind: type) -> None:
    data = picture("PNG", 1)
    np.testing.assert_array_equal(predictor.predict(table(kind(data))), predictor.predict(table(data)))


def test_a_row_does_not_depend_on_its_neighbours(predictor: serving.Predictor) -> None:
    images = [picture("PNG", seed) for seed in range(5)]
    together = predictor.predict(table(*images))
    apart = pd.concat([predictor.predict(table(image)) for image in images], ignore_index=True)
    pd.testing.assert_frame_equal(together, apart, rtol=1e-4)


def test_the_index_of_the_table_comes_back(predictor: serving.Predictor) -> None:
    rows = table(picture("PNG", 1), picture("PNG", 2)).set_index(pd.Index(["b", "a"]))
    assert list(predictor.predict(rows).index) == ["b", "a"]


def test_no_images_give_no_rows(predictor: serving.Predictor) -> None:
    rows = predictor.predict(table())
    assert rows.shape == (0, len(CLASSES))


def test_what_is_no_image_is_refused(predictor: serving.Predictor) -> None:
    with pytest.raises(UnidentifiedImageError):
        predictor.predict(table(b"no image"))


def test_what_is_transparent_shows_what_it_showed_in_training(predictor: serving.Predictor) -> None:
    ink = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    ink.paste((0, 0, 0, 255), (0, 0, 10, 10))
    white = Image.new("RGBA", ink.size, "white")
    rows = [Image.alpha_composite(white, ink).convert("RGB"), ink, Image.new("RGB", ink.size)]
    images = []
    for image in rows:
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        images.append(buffer.getvalue())
    on_white, transparent, black = predictor.predict(table(*images)).to_numpy()
    np.testing.assert_array_equal(transparent, on_white)
    assert not np.allclose(transparent, black)


def test_the_prediction_is_that_of_the_network_on_the_same_pixels(model: Path, predictor: serving.Predictor) -> None:
    network, header = checkpoint.load(model / serving.WEIGHTS)
    data = picture("PNG", 1)
    pixels = torch.tensor(decode(data, header["image_size"], header["channels"])).float()
    with torch.no_grad():
        expected = network(pixels[None] / 127.5 - 1).softmax(dim=1)
    np.testing.assert_allclose(predictor.predict(table(data)), expected, rtol=1e-5)


def test_the_example_is_a_gradient_and_its_mirror_image(model: Path) -> None:
    _, header = checkpoint.load(model / serving.WEIGHTS)
    example = serving.example_input(model / serving.WEIGHTS)
    there, back = (decode(image, header["image_size"], header["channels"]) for image in example["image"])
    expected = np.linspace(0, 255, header["image_size"], dtype=np.uint8)
    assert (there == expected).all()  # in every row of every channel: nobody's record looks like that
    assert (back == expected[::-1]).all()


def test_the_example_can_be_predicted(model: Path, predictor: serving.Predictor) -> None:
    rows = predictor.predict(serving.example_input(model / serving.WEIGHTS))
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)


def test_the_code_of_a_registered_model_is_what_serving_imports_in_whole_packages(tmp_path: Path) -> None:
    """An installed package of the same name would come before a folder without __init__.py."""
    source = copy_code(serving, tmp_path) / "source"
    files = {file.relative_to(source) for file in source.rglob("*") if file.is_file()}
    assert all((source / file).with_name("__init__.py").is_file() for file in files)
    modules = {file.as_posix() for file in files if file.name != "__init__.py"}
    assert {name for name in modules if name.startswith("lineage/")} == {"lineage/records/images.py"}
    assert {name.partition("/")[2] for name in modules} >= {"serving.py", "model/networks.py", "model/checkpoint.py"}


class Refused(Exception):  # noqa: N818  as the server tells it
    """What the caller must change."""


def refuse(status: int, message: str) -> NoReturn:
    raise Refused(status, message)


def ask(predictor: serving.Predictor, body: bytes, kind: str = serving.JSON, most: int = 9) -> list[dict[str, float]]:
    answer, made = predictor.answer(body, kind, most, refuse, lambda: None)
    assert made == "application/json"
    return json.loads(answer)["predictions"]


def text(data: bytes) -> str:
    return base64.encodebytes(data).decode()  # with line breaks, as MLflow writes it


IMAGES = [picture("PNG", 1), picture("JPEG", 2)]


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [text(image) for image in IMAGES]},
        {"instances": [{"image": text(image)} for image in IMAGES]},
        {"dataframe_records": [{"image": text(image)} for image in IMAGES]},
        {"dataframe_split": {"columns": ["no", "image"], "data": [[1, text(image)] for image in IMAGES]}},
    ],
)
def test_every_form_of_a_request_is_answered_as_the_table_is(predictor: serving.Predictor, document: Any) -> None:
    rows = ask(predictor, json.dumps(document).encode())
    expected = predictor.predict(table(*IMAGES)).to_dict("records")
    assert rows == [pytest.approx(row) for row in expected]


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "application/x-image", "application/octet-stream"])
def test_an_image_by_itself_is_a_request(predictor: serving.Predictor, kind: str) -> None:
    [row] = ask(predictor, IMAGES[0], kind)
    assert list(row) == CLASSES
    assert sum(row.values()) == pytest.approx(1)


def test_the_example_is_answered_as_mlflow_sends_it(model: Path, predictor: serving.Predictor) -> None:
    example = serving.example_input(model / serving.WEIGHTS)
    rows = [[text(image)] for image in example["image"]]
    split = {"columns": list(example.columns), "data": rows}
    assert len(ask(predictor, json.dumps({"dataframe_split": split}).encode())) == 2


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (b"x", "image/png", 400, "image 1 cannot be read: no image"),
        (b"", "image/png", 400, "image 1 cannot be read"),
        (IMAGES[0][:-40], "image/png", 400, "image 1 cannot be read"),
        (b"x", "text/csv", 415, "a request is an image"),
        (b"x", "", 415, "a request is an image"),
        (b"{", serving.JSON, 400, "no JSON"),
        (b"\xff", serving.JSON, 400, "no JSON"),
        (b"[" * 100_000, serving.JSON, 400, "no JSON"),
        (b"1" * 10_000, serving.JSON, 400, "no JSON"),
        (b"[]", serving.JSON, 400, "must be an object with"),
        (b'{"instances": [], "params": {}}', serving.JSON, 400, "must be an object with"),
        (b'{"instances": ["a"]}', serving.JSON, 400, "image 1 is no base64 text"),
        (b'{"instances": ["eA==", 7]}', serving.JSON, 400, "image 2 is no base64 text"),
        (b'{"instances": [{"picture": "eA=="}]}', serving.JSON, 400, "image 1 is no base64 text"),
        (b'{"instances": ["eA=="]}', serving.JSON, 400, "image 1 cannot be read: no image"),
        (b'{"dataframe_split": {"columns": ["image"], "data": [[]]}}', serving.JSON, 400, "image 1 is no base64"),
        (
            json.dumps({"instances": ["eA=="] * 10}).encode(),
            serving.JSON,
            413,
            "10 images are in this request",
        ),
    ],
)
def test_what_the_caller_must_change_is_said(
    predictor: serving.Predictor, body: bytes, kind: str, status: int, said: str
) -> None:
    with pytest.raises(Refused) as caught:
        ask(predictor, body, kind)
    assert caught.value.args[0] == status
    assert said in caught.value.args[1]


def test_an_image_that_would_fill_the_memory_is_refused_by_what_it_says_of_itself(predictor: serving.Predictor) -> None:
    buffer = io.BytesIO()
    Image.new("1", (6000, 6000)).save(buffer, format="PNG")  # 5 kB as a file
    with pytest.raises(Refused, match="more than 25000000 pixels"):
        ask(predictor, buffer.getvalue(), "image/png")


def test_many_images_that_would_take_long_to_read_are_refused_before_one_is_read(predictor: serving.Predictor) -> None:
    buffer = io.BytesIO()
    Image.new("1", (5000, 5000)).save(buffer, format="PNG")  # 3 kB as a file, and a quarter of a second to read
    body = json.dumps({"instances": [text(buffer.getvalue())] * 5}).encode()
    with pytest.raises(Refused, match="may have 100000000 pixels together"):
        ask(predictor, body)


def test_a_request_that_nobody_waits_for_is_given_up_at_the_next_image(predictor: serving.Predictor) -> None:
    class Late(Exception):  # noqa: N818  as the server has it
        pass

    seen = []

    def go_on() -> None:
        seen.append(len(seen))
        if len(seen) == 2:
            raise Late

    body = json.dumps({"instances": [text(image) for image in IMAGES] * 2}).encode()
    with pytest.raises(Late):
        predictor.answer(body, serving.JSON, 9, refuse, go_on)
    assert seen == [0, 1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_broken_image_is_answered_or_refused(predictor: serving.Predictor, data: st.DataObject) -> None:
    """No other error: that would be the server's, and its log would fill."""
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"]))
    image = bytearray(picture(kind, 1))
    for place in data.draw(st.lists(st.integers(0, len(image) - 1), max_size=8)):
        image[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(image)))
    with suppress(Refused):
        [row] = ask(predictor, bytes(image[:cut]), "application/x-image")
        assert sum(row.values()) == pytest.approx(1)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from([text(IMAGES[0]), "eA=="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["image", "data", "columns"]), inner),
    max_leaves=8,
)
NAMES = ["instances", "dataframe_split", "dataframe_records", "inputs"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary() | st.dictionaries(st.sampled_from(NAMES), VALUES).map(lambda each: json.dumps(each).encode()))
def test_any_body_is_answered_or_refused(predictor: serving.Predictor, body: bytes) -> None:
    with suppress(Refused):
        ask(predictor, body)
