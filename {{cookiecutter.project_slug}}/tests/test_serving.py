from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
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
