from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.dvc.templating import unroll

PARAMS: dict[str, Any] = {
    "seeds": [3, 1, 2],
    "none": [],
    "sizes": {"small": 8, "large": 64},
    "models": {"first": {"name": "cnn", "size": {"width": 4}}, "second": {"name": "vit", "size": {"width": 9}}},
    "listed": [{"name": "cnn"}, {"name": "vit"}],
    "deep": {"er": {"still": "found"}},
    "files": ["a.csv", "b.csv"],
    "options": {"cache": False},
    "rate": 0.5,
    "fast": True,
    "nothing": None,
}


def foreach(items: Any, **body: Any) -> dict[str, Any]:
    return unroll({"train": {"foreach": items, "do": body}}, PARAMS)


def filled(value: Any) -> Any:
    return unroll({"train": {"cmd": value}}, PARAMS)["train"]["cmd"]


def test_a_list_makes_a_stage_of_each_item() -> None:
    assert foreach(["a", "b"], cmd="run ${item}") == {"train@a": {"cmd": "run a"}, "train@b": {"cmd": "run b"}}


def test_a_list_of_params_keeps_its_order() -> None:
    stages = foreach("${seeds}", cmd="run --seed ${item}")
    assert list(stages) == ["train@3", "train@1", "train@2"]
    assert stages["train@1"] == {"cmd": "run --seed 1"}


@pytest.mark.parametrize("empty", [[], {}, "${none}"])
def test_where_there_are_no_items_there_is_no_stage(empty: Any) -> None:
    stages = unroll({"first": {"cmd": "a"}, "train": {"foreach": empty, "do": {"cmd": "b"}}}, PARAMS)
    assert stages == {"first": {"cmd": "a"}}


def test_a_dict_makes_a_stage_of_each_key() -> None:
    assert foreach("${sizes}", cmd="run ${key} at ${item}", outs=["${key}.bin"]) == {
        "train@small": {"cmd": "run small at 8", "outs": ["small.bin"]},
        "train@large": {"cmd": "run large at 64", "outs": ["large.bin"]},
    }


def test_an_item_has_parts() -> None:
    stages = foreach("${models}", cmd="${item.name} ${item.size.width}", deps=["${key}/${item.name}.py"])
    assert stages == {
        "train@first": {"cmd": "cnn 4", "deps": ["first/cnn.py"]},
        "train@second": {"cmd": "vit 9", "deps": ["second/vit.py"]},
    }


def test_items_of_a_list_that_have_parts_are_numbered() -> None:
    stages = foreach("${listed}", cmd="run ${item.name}")
    assert stages == {"train@0": {"cmd": "run cnn"}, "train@1": {"cmd": "run vit"}}


def test_items_that_are_true_or_false_are_written_as_in_yaml() -> None:
    assert foreach([True, False], cmd="run ${item}") == {
        "train@true": {"cmd": "run true"},
        "train@false": {"cmd": "run false"},
    }


def test_items_may_come_from_params_one_by_one() -> None:
    assert list(foreach(["${rate}", "${deep.er.still}"], cmd="run")) == ["train@0.5", "train@found"]


def test_params_are_known_inside_foreach() -> None:
    assert foreach(["a"], cmd="${item} ${deep.er.still}")["train@a"]["cmd"] == "a found"


def test_an_item_goes_before_a_param_of_that_name() -> None:
    stages = {"train": {"foreach": {"k": "inner"}, "do": {"cmd": "${key} ${item}"}}}
    assert unroll(stages, {"item": "outer", "key": 0}) == {"train@k": {"cmd": "k inner"}}


def test_an_item_is_known_in_its_own_stage_alone() -> None:
    stages = unroll({"train": {"foreach": ["a"], "do": {"cmd": "${item}"}}, "other": {"cmd": "${item} ${key}"}}, PARAMS)
    assert stages == {"train@a": {"cmd": "a"}, "other": {"cmd": "${item} ${key}"}}


def test_stages_keep_their_order() -> None:
    stages = {"z": {"cmd": "a"}, "m": {"foreach": ["y", "b"], "do": {"cmd": "b"}}, "a": {"cmd": "c"}}
    assert list(unroll(stages, PARAMS)) == ["z", "m@y", "m@b", "a"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${rate}", 0.5),
        ("${deep.er.still}", "found"),
        ("${ deep.er.still }", "found"),
        ("${fast}", True),
        ("${nothing}", None),
        ("${files}", ["a.csv", "b.csv"]),
        ("${none}", []),
        ("${options}", {"cache": False}),
        ("${models.first}", {"name": "cnn", "size": {"width": 4}}),
    ],
)
def test_a_whole_value_keeps_its_type(written: str, value: Any) -> None:
    found = filled(written)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("--rate ${rate}", "--rate 0.5"),
        ("${rate}${rate}", "0.50.5"),
        (" ${rate}", " 0.5"),
        ("${sizes.small}x${ sizes.large }", "8x64"),
        ("${nothing}!", "None!"),
        ("--fast ${fast}", "--fast true"),
    ],
)
def test_a_part_of_a_text_becomes_text(written: str, text: str) -> None:
    assert filled(written) == text


def test_lists_and_dicts_are_filled_all_the_way_down() -> None:
    written = {"deps": ["${sizes.small}", {"${deep.er.still}": "${options}"}], "n": 3, "flag": None}
    assert filled(written) == {"deps": [8, {"found": {"cache": False}}], "n": 3, "flag": None}


def test_what_is_filled_in_is_not_filled_again() -> None:
    stages = {"a": {"cmd": "${x}", "desc": "-${x}"}}
    assert unroll(stages, {"x": "${y}", "y": 1}) == {"a": {"cmd": "${y}", "desc": "-${y}"}}


@pytest.mark.parametrize(
    "written",
    ["${nowhere}", "${deep.nowhere}", "${deep.er.still.deeper}", "${rate.deeper}", "run ${nowhere} ${also.not}"],
)
def test_unknown_names_stay_as_they_are(written: str) -> None:
    assert filled(written) == written


def test_known_names_beside_unknown_ones_are_filled() -> None:
    assert filled("${rate} ${nowhere}") == "0.5 ${nowhere}"


@pytest.mark.parametrize("written", ["$HOME", "{rate}", "${}", "a $ b", "$(date)", "awk '{print $1}'"])
def test_what_is_no_place_is_left_alone(written: str) -> None:
    assert filled(written) == written


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r"echo \${rate}", "echo ${rate}"),
        (r"\${rate}", "${rate}"),
        (r"${rate} \${rate}", "0.5 ${rate}"),
        (r"\${nowhere}", "${nowhere}"),
    ],
)
def test_an_escaped_place_is_left_for_the_shell(written: str, text: str) -> None:
    assert filled(written) == text


def test_a_matrix_keeps_its_one_body() -> None:
    body = {"matrix": {"size": [1, 2]}, "cmd": "run ${item.size} at ${rate}"}
    assert unroll({"train": body}, PARAMS)["train"]["cmd"] == "run ${item.size} at 0.5"


def test_neither_stages_nor_params_are_changed() -> None:
    stages = {"train": {"foreach": "${models}", "do": {"cmd": "${item.name}", "deps": ["${files}"]}}}
    before = repr((stages, PARAMS))
    unroll(stages, PARAMS)
    assert repr((stages, PARAMS)) == before


texts = st.text(alphabet=st.characters(exclude_characters="$", codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(stages=st.dictionaries(texts, st.fixed_dictionaries({"cmd": texts, "rest": values}), max_size=4))
def test_stages_without_places_stay_as_they_are(stages: dict[str, Any]) -> None:
    assert unroll(stages, PARAMS) == stages


@given(items=st.lists(texts, unique=True, max_size=6))
def test_every_item_has_its_stage_whatever_is_in_it(items: list[str]) -> None:
    stages = {"train": {"foreach": "${here}", "do": {"cmd": "${item}", "desc": "<${item}>"}}}
    expected = {f"train@{item}": {"cmd": item, "desc": f"<{item}>"} for item in items}
    assert unroll(stages, {"here": items}) == expected
