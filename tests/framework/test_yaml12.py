"""What DVC writes is read as DVC reads it."""

from __future__ import annotations

import io
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lineage.base.yaml12 import parse_yaml

WORDS = "yes off y n on ~ null Null true False nan inf .nan .inf +.inf : - << # e1 1e"
NUMBERS = "1e5 1E3 1e+3 .5 1. -.5e3 0. 010 08 0o7 +0o7 0x1F -0x1f 0b1 1_0 _1 1__ +1 12:30"


def both(text: str) -> tuple[Any, Any]:
    return parse_yaml(text), YAML(typ="safe").load(text)


def written(value: Any) -> list[str]:
    """As DVC writes dvc.lock, and as OmegaConf writes params.yaml."""
    stream = io.StringIO()
    YAML().dump({"value": value}, stream)
    return [stream.getvalue(), yaml.safe_dump({"value": value})]


@pytest.mark.parametrize("value", ["", *WORDS.split(), *NUMBERS.split()])
def test_texts_that_look_like_something_else(value: str) -> None:
    for text in written(value):
        ours, dvcs = both(text)
        assert repr(ours) == repr(dvcs), text


@given(st.floats(allow_nan=False) | st.integers() | st.booleans() | st.none())
def test_numbers(value: float | int | bool | None) -> None:
    for text in written(value):
        ours, dvcs = both(text)
        assert ours == dvcs == {"value": value}


def test_a_small_number_is_no_text() -> None:
    assert parse_yaml("lr: 1e-05") == {"lr": 1e-05}


@pytest.mark.parametrize("text", ["lr: -_", "[" * 10_000, "{", b"\xff"])
def test_what_is_no_yaml_is_one_kind_of_error(text: str | bytes) -> None:
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)
