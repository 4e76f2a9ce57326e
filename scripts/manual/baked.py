"""The template with the default answers, as people get it: what the manual is made from."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).resolve().parents[2]
NAME, PACKAGE = "traceable-digits", "traceable_digits"  # what the default answers make


@contextmanager
def baked() -> Iterator[Path]:
    """A project that can be read and imported: no environment, no Git, every page and setting there is."""
    with tempfile.TemporaryDirectory() as folder:
        answers = {"infra": "yes"}
        cookiecutter(str(TEMPLATE), no_input=True, accept_hooks=False, output_dir=folder, extra_context=answers)
        root = Path(folder, NAME)
        sys.path.insert(0, str(root))
        try:
            yield root
        finally:
            sys.path.remove(str(root))
