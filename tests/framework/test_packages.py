"""Extra locks: on top of the default one, never in it, and compared where they are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineage.base import workers
from lineage.chain.packages import extra_locks, locked

TEMPLATE = Path(workers.__file__).parents[2]
EXTRAS = {
    "requirements-spark.lock": "pyspark",
    "requirements-wandb.lock": "wandb",
    "requirements-evidence.lock": "model-signing",
    "requirements-notebook.lock": "jupytext",
}


@pytest.mark.parametrize("lock", EXTRAS)
def test_an_extra_lock_fits_on_top_of_the_default_one(lock: str) -> None:
    default, extra = locked(TEMPLATE / "requirements.lock"), locked(TEMPLATE / lock)
    assert EXTRAS[lock] in extra
    assert EXTRAS[lock] not in default
    assert {name: version for name, version in extra.items() if default.get(name, version) != version} == {}


def test_only_the_locks_of_what_is_installed_are_compared(tmp_path: Path) -> None:
    for name, asked in {
        "dev": "pytest",
        "here": "# a comment\n-c requirements.lock\npytest>=1",
        "not-here": "nobody",
    }.items():
        (tmp_path / f"requirements-{name}.in").write_text(f"{asked}\n")
        (tmp_path / f"requirements-{name}.lock").write_text("")
    (tmp_path / "requirements-not-locked.in").write_text("pytest\n")
    assert extra_locks(tmp_path) == [tmp_path / "requirements-here.lock"]
