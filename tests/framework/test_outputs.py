from __future__ import annotations

from pathlib import Path

import pytest

from lineage.base.errors import ProjectError, UndeclaredError
from lineage.dvc.dvcfile import Stage
from lineage.run.outputs import Inputs, Outputs

STAGE = Stage(
    name="train",
    cmd="python -m train",
    deps=("data/raw", "code.py"),
    params=(),
    outs=("data/processed", "metrics/train.json"),
    reports=("metrics/train.json",),
    uncached=(),
)


def everything(root: Path) -> dict[str, str]:
    """The content of every file below `root` by its path."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_text() for path in files}


def write_all(outputs: Outputs, text: str = "new") -> None:
    outputs["data/processed"].mkdir()
    (outputs["data/processed"] / "rows.txt").write_text(text)
    outputs["metrics/train.json"].write_text(text)


@pytest.fixture
def earlier(tmp_path: Path) -> dict[str, str]:
    """Outputs of an earlier execution, in place."""
    (tmp_path / "data" / "processed").mkdir(parents=True)
    (tmp_path / "data" / "processed" / "rows.txt").write_text("old")
    (tmp_path / "data" / "processed" / "gone.txt").write_text("old")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "train.json").write_text("old")
    return everything(tmp_path)


def test_outputs_stand_in_their_places_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    with Outputs(tmp_path, STAGE) as outputs:
        write_all(outputs)
        outputs.commit()
    assert everything(tmp_path) == {"data/processed/rows.txt": "new", "metrics/train.json": "new"}


def test_outputs_replace_those_of_an_earlier_execution(tmp_path: Path, earlier: dict[str, str]) -> None:
    with Outputs(tmp_path, STAGE) as outputs:
        write_all(outputs)
        assert everything(tmp_path).items() >= earlier.items()  # until all are whole
        outputs.commit()
    assert everything(tmp_path) == {"data/processed/rows.txt": "new", "metrics/train.json": "new"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_work_that_fails_puts_nothing_in_place(
    tmp_path: Path, earlier: dict[str, str], error: type[BaseException]
) -> None:
    with pytest.raises(error), Outputs(tmp_path, STAGE) as outputs:
        write_all(outputs)
        raise error
    assert everything(tmp_path) == earlier


def test_what_is_not_placed_is_removed(tmp_path: Path, earlier: dict[str, str]) -> None:
    with Outputs(tmp_path, STAGE) as outputs:
        write_all(outputs)
    assert everything(tmp_path) == earlier


def test_leftovers_of_a_killed_execution_are_removed(tmp_path: Path) -> None:
    killed = Outputs(tmp_path, STAGE)
    killed.__enter__()  # and never left
    write_all(killed, "half")
    (killed["data/processed"] / "more.txt").write_text("half")
    assert len(everything(tmp_path)) == 3
    with Outputs(tmp_path, STAGE) as outputs:
        assert everything(tmp_path) == {}
        write_all(outputs)
        outputs.commit()
    assert everything(tmp_path) == {"data/processed/rows.txt": "new", "metrics/train.json": "new"}


@pytest.mark.parametrize("missing", STAGE.outs)
def test_a_missing_output_is_refused_and_no_other_is_placed(
    tmp_path: Path, earlier: dict[str, str], missing: str
) -> None:
    with Outputs(tmp_path, STAGE) as outputs:
        write_all(outputs)
        outputs[missing].rename(tmp_path / "elsewhere")
        with pytest.raises(ProjectError, match=f"declares {missing} .* did not write it"):
            outputs.commit()
        assert everything(tmp_path).items() >= earlier.items()


def test_outputs_are_written_where_a_rename_can_reach_and_git_and_dvc_do_not_look(tmp_path: Path) -> None:
    with Outputs(tmp_path, STAGE) as outputs:
        for out, path in outputs.items():
            assert path.parent == (tmp_path / out).parent
            assert path.name.startswith(".")
            assert ".partial" in path.suffixes
            assert path.suffix in (Path(out).suffix, ".partial")


def test_the_suffix_of_unfinished_outputs_is_ignored(root: Path) -> None:
    for name in (".gitignore", ".dvcignore"):
        assert {"*.partial", ".*.partial.*"} <= {*(root / name).read_text(encoding="utf-8").splitlines()}


def test_an_undeclared_output_is_refused(tmp_path: Path) -> None:
    with Outputs(tmp_path, STAGE) as outputs, pytest.raises(UndeclaredError, match=r"models/model .* outs .* train"):
        outputs["models/model"]


def test_a_declared_input_is_found(tmp_path: Path) -> None:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    (tmp_path / "code.py").touch()
    inputs = Inputs(tmp_path, STAGE)
    assert dict(inputs) == {"data/raw": tmp_path / "data" / "raw", "code.py": tmp_path / "code.py"}


def test_an_undeclared_input_is_refused_even_if_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    (tmp_path / "code.py").touch()
    (tmp_path / "secret.txt").touch()
    with pytest.raises(UndeclaredError, match=r"secret\.txt .* deps .* train"):
        Inputs(tmp_path, STAGE)["secret.txt"]


def test_a_missing_input_is_told_with_the_commands_that_bring_it(tmp_path: Path) -> None:
    (tmp_path / "code.py").touch()
    with pytest.raises(ProjectError, match=r"data/raw is missing.*dvc repro.*dvc pull"):
        Inputs(tmp_path, STAGE)
