"""Where raw records come from. One module a source: add yours here, and its settings to settings.py and conf/data/.

A source has one function, `fetch(settings, folder)`, that writes into `folder`:

    records.parquet   the records, in the format of ../raw.py; only this file is read further on
    and what else belongs to them.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any


def fetch(settings: Any, folder: Path) -> None:
    """Writes the raw records of the source that `settings.name` names into `folder`, which exists."""
    import_module(f".{settings.name}", __name__).fetch(settings, folder)
