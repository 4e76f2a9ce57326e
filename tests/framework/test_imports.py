from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lineage.base.errors import UndeclaredError
from lineage.dvc.dvcfile import Stage, read_pipeline
from lineage.run.imports import check_imports, every_import, imported_files


def train(copy: Path) -> Stage:
    return read_pipeline(copy).stage("train")


def within(root: Path, files: set[Path]) -> set[str]:
    """The first two parts of each path."""
    return {"/".join(file.relative_to(root).parts[:2]) for file in files}


def add(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text((file.read_text(encoding="utf-8") if file.exists() else "") + text, encoding="utf-8")


@pytest.mark.parametrize(
    "statement",
    [
        "from ..helper import help_me",
        "from .. import helper",
        "from {package} import helper",
        "from {package}.helper import help_me",
        "import {package}.helper",
        "import {package}.helper as h",
        "def work_more():\n    from ..helper import help_me",
        "if True:\n    from .. import helper as h",
    ],
)
def test_an_undeclared_helper_is_refused_by_its_name(copy: Path, package: str, statement: str) -> None:
    add(copy / package / "helper.py", "def help_me(): ...\n")
    add(copy / package / "stages" / "train.py", "\n" + statement.format(package=package) + "\n")
    with pytest.raises(UndeclaredError, match=rf"imports {package}/helper\.py, .* deps"):
        check_imports(copy, copy / package, train(copy))


def test_a_helper_of_a_helper_is_found(copy: Path, package: str) -> None:
    add(copy / package / "model" / "training.py", "\nfrom ..first import one\n")
    add(copy / package / "first.py", "def one():\n    from .second import two\n")
    add(copy / package / "second.py", "def two(): ...\n")
    stage = replace(train(copy), deps=(*train(copy).deps, f"{package}/first.py"))
    with pytest.raises(UndeclaredError, match=f"{package}/second.py"):
        check_imports(copy, copy / package, stage)


def test_a_module_beside_the_package_is_found(copy: Path, package: str) -> None:
    add(copy / "beside.py", "VALUE = 1\n")
    add(copy / package / "stages" / "train.py", "\nimport beside\n")
    with pytest.raises(UndeclaredError, match=r"imports beside\.py"):
        check_imports(copy, copy / package, train(copy))


def test_code_in_the_init_of_a_package_counts_and_a_docstring_does_not(copy: Path, package: str) -> None:
    add(copy / package / "extra" / "__init__.py", '"""Only says what is in here."""\n')
    add(copy / package / "extra" / "helper.py", "VALUE = 1\n")
    add(copy / package / "stages" / "train.py", "\nfrom ..extra.helper import VALUE\n")
    stage = replace(train(copy), deps=(*train(copy).deps, f"{package}/extra/helper.py"))
    check_imports(copy, copy / package, stage)
    add(copy / package / "extra" / "__init__.py", "VALUE = 2\n")
    with pytest.raises(UndeclaredError, match=f"{package}/extra/__init__.py"):
        check_imports(copy, copy / package, stage)


@pytest.mark.parametrize("dep", ["{package}/helper.py", "{package}"])
def test_a_declared_helper_is_accepted(copy: Path, package: str, dep: str) -> None:
    add(copy / package / "helper.py", "def help_me(): ...\n")
    add(copy / package / "stages" / "train.py", "\nfrom ..helper import help_me\n")
    check_imports(copy, copy / package, replace(train(copy), deps=(*train(copy).deps, dep.format(package=package))))


def test_a_folder_whose_name_only_begins_alike_declares_nothing(copy: Path, package: str) -> None:
    add(copy / package / "model_helper.py", "VALUE = 1\n")
    add(copy / package / "stages" / "train.py", "\nfrom ..model_helper import VALUE\n")
    with pytest.raises(UndeclaredError, match="model_helper"):
        check_imports(copy, copy / package, train(copy))


def test_how_a_stage_is_run_and_reported_is_no_input(copy: Path, package: str) -> None:
    register = copy / package / "stages" / "register.py"
    inputs, every = imported_files(copy, copy / package, register), every_import(copy, register)
    assert within(copy, inputs) == {
        f"{package}/model",
        f"{package}/serving.py",
        f"{package}/stages",
        "lineage/records",
    }
    left = within(copy, every - inputs)
    assert {f"{package}/settings.py", "lineage/pipeline", "lineage/run", "lineage/settings"} <= left
    assert left - {f"{package}/settings.py"} == {place for place in left if place.startswith("lineage/")}


def test_modules_that_import_each_other_come_to_an_end(copy: Path, package: str) -> None:
    add(copy / package / "one.py", "from . import two\n")
    add(copy / package / "two.py", "from . import one\n")
    names = {file.name for file in imported_files(copy, copy / package, copy / package / "one.py")}
    assert names == {"one.py", "two.py"}
