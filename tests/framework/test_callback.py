"""What MLflow keeps of an error: its kind, never whom it is about."""

from __future__ import annotations

import pytest

from lineage.base.errors import ConsentError, DataError, DispatchError, SettingsError, UnreadableImagesError
from lineage.run.facts import without_ids

ID = "PAT-00023"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            UnreadableImagesError({ID: f"{ID}, cat/{ID}.png (no image)"}),
            "UnreadableImagesError: 1 image cannot be read.",
        ),
        (DataError(f"two records have the id {ID!r}."), "DataError in test_callback.py, line "),
        (KeyError(ID), "KeyError in test_callback.py, line "),
        (ValueError(f"{ID} is no number"), "ValueError in test_callback.py, line "),
        (
            FileNotFoundError(2, "No such file or directory", f"{ID}.png"),
            "FileNotFoundError: No such file or directory",
        ),
        (UnicodeDecodeError("utf-8", ID.encode(), 0, 1, "bad"), "UnicodeDecodeError in test_callback.py, line "),
        (DispatchError(f"job abc did not end well: {ID} cannot be read"), "DispatchError: job abc did not end well"),
        (SettingsError("train.lr must be positive"), "SettingsError: train.lr must be positive"),
        (ConsentError("the consent of 1 subjects is not active any more"), "ConsentError: the consent of 1 subjects"),
        (KeyboardInterrupt("signal 15, process 1"), "KeyboardInterrupt: signal 15, process 1"),
    ],
)
def test_it_names_nobody(error: BaseException, said: str) -> None:
    with pytest.raises(type(error)) as raised:
        raise error
    kept = without_ids(raised.value)
    assert kept.startswith(said)
    assert ID not in kept
