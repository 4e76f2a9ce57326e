"""Whether two environments are said to be equal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lineage.judgement.diff.settings import environment

LOCK = b"numpy==2.1.0 \\\n    --hash=sha256:aa\n"


def side(lock: bytes) -> Any:
    """One that was trained on a machine that is known, with this lock."""
    machine = {"python": "3.12.1", "markers": {"sys_platform": "linux"}}
    return SimpleNamespace(
        title="A",
        read=lambda _: lock,
        run_record={"machine": machine, "packages_sha256": "ab"},
        recorded=SimpleNamespace(trained=None),
    )


@pytest.mark.parametrize(
    ("lock", "state"),
    [
        (LOCK, "equal"),
        (LOCK.replace(b"sha256:aa", b"sha256:bb"), "different"),  # another file under the same version
        (LOCK + b"tool @ https://example.org/tool.whl\n", "different"),
        (LOCK.replace(b"2.1.0", b"2.1.1"), "different"),
    ],
)
def test_a_lock_of_other_bytes_is_another(lock: bytes, state: str) -> None:
    found = environment(side(LOCK), side(lock))
    assert found["state"] == state
    assert bool(found["packages"]["changed"]) == (b"2.1.1" in lock)
    assert bool(found["machine"]) == (state == "different" and b"2.1.1" not in lock)
