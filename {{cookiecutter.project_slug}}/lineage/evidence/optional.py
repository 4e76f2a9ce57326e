"""Packages that only some of the evidence needs. They are in requirements-evidence.lock, never in the default lock."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from ..base.errors import ProjectError

LOCK = "requirements-evidence.lock"


def need(package: str, what: str) -> None:
    """Raises ProjectError, which says what to install, where a package is missing. Nothing is imported."""
    found = find_spec(package)
    if found is None or found.origin is None:  # a folder of that name is no package
        raise ProjectError(
            f"`{what}` needs the package {package}, which is not installed in {sys.prefix}. `make setup-evidence` "
            f"installs it from {LOCK}."
        )
