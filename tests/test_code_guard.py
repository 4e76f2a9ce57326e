"""A stage may use the code that dvc.yaml declares for it and no other: DVC would not see another one change."""

from __future__ import annotations

import pytest
from damage import edit
from stages import PACKAGE, Workshop, workshop

__all__ = ["workshop"]

HELPER = "VALUE = 1\n"
LATE = {
    "a source": ("fetch", "sources/digits.py", "    from ..dicom import VALUE as _\n\n"),
    "a source, by a name put together": (
        "fetch",
        "sources/digits.py",
        f"    from importlib import import_module\n\n    import_module('{PACKAGE}.' + 'dicom')\n",
    ),
    "what all sources have in common": ("fetch", "sources/__init__.py", None),
    "the servable model": ("register", "serving.py", None),
    "the training loop": ("train", "model/training.py", None),
}


@pytest.mark.parametrize(("stage", "file", "statement"), LATE.values(), ids=LATE)
def test_what_dvc_does_not_know_is_refused_wherever_it_is_imported(
    stage: str, file: str, statement: str | None, workshop: Workshop
) -> None:
    package = workshop.root / PACKAGE
    (package / "dicom.py").write_text(HELPER)
    path = package / file
    text = path.read_text()
    workshop.compose()
    if statement is None:
        first = "from __future__ import annotations\n"
        path.write_text(text.replace(first, f"{first}\nimport {PACKAGE}.dicom\n", 1))
    else:
        start = text.index('"""\n', text.index("def fetch(")) + 4
        path.write_text(text[:start] + statement + text[start:])
    try:
        said = workshop.refusal(stage)
    finally:
        path.write_text(text)
        (package / "dicom.py").unlink()
    assert said == f"it imports {PACKAGE}/dicom.py, which dvc.yaml does not list among its deps: add it there."


def test_what_is_declared_may_be_imported_late(workshop: Workshop) -> None:
    workshop.compose()
    (workshop.root / PACKAGE / "dicom.py").write_text(HELPER)
    own = f"      - {PACKAGE}/stages/fetch.py\n"
    edit(workshop.root / "dvc.yaml", own, f"{own}      - {PACKAGE}/dicom.py\n")()
    source = workshop.root / PACKAGE / "sources" / "digits.py"
    text = source.read_text()
    start = text.index('"""\n', text.index("def fetch(")) + 4
    source.write_text(text[:start] + "    from ..dicom import VALUE as _\n\n" + text[start:])
    workshop.run("fetch")
