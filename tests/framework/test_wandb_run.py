from __future__ import annotations

import pytest

from lineage.base.errors import TrackerError
from lineage.tracking.wandb_run import _asked, allowed_mode

KEY = "fedcba98" * 5


def test_what_wandb_says_is_told_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with pytest.raises(TrackerError) as raised, _asked("open a run", " Do this."):
        raise ValueError(f"the server refused\n{KEY}.")
    assert str(raised.value) == "W&B could not open a run: the server refused (the key). Do this."


@pytest.mark.parametrize(
    ("setting", "variable", "mode"),
    [
        ("offline", "", "offline"),
        ("online", "", "online"),
        ("online", "offline", "offline"),
        ("online", "dryrun", "offline"),
        ("online", "disabled", "disabled"),
        ("offline", "online", "offline"),
        ("offline", "shared", "offline"),
    ],
)
def test_a_variable_sends_less_never_more(
    setting: str, variable: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", variable)
    assert allowed_mode(setting) == mode
