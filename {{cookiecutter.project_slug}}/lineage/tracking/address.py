"""Where an MLflow store is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

SQLITE = "sqlite:///"


def absolute_uri(uri: str, main: Path) -> str:
    """`uri` with a relative SQLite path made absolute at the main project, whatever the current folder is."""
    if not uri.startswith(SQLITE):
        return uri
    path = Path(uri.removeprefix(SQLITE))
    return uri if path.is_absolute() else SQLITE + (main / path).resolve().as_posix()


def is_database(uri: str) -> bool:
    """Whether MLflow opens a database itself, so that artifacts need a place of their own on this side."""
    return urlsplit(uri).scheme.partition("+")[0] in {"sqlite", "postgresql", "mysql", "mssql"}


def local_path(uri: str) -> Path | None:
    """The folder that a file: URI names; None for any other URI."""
    parts = urlsplit(uri)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None
