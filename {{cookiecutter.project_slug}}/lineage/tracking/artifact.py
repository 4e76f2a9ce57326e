"""What the registry hands out for a model: its files, by content."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..base.bytecode import ForeignBytecodeError, is_compiled_from_source
from ..dvc.hashes import Content, folder_content, hash_tree
from .address import local_path
from .client import SharedClient, download

if TYPE_CHECKING:
    from mlflow import MlflowClient


class RegisteredFiles(NamedTuple):
    """What the registry hands out for a model; `foreign` are files of it that only another Python can judge."""

    content: Content
    foreign: list[str]


def artifact_folder(client: MlflowClient | SharedClient, model_id: str, scratch: str) -> Path:
    """Where everything lies that the registry hands out for a model: in the store itself, or brought to `scratch`."""
    location = client.get_logged_model(model_id).artifact_location
    local = local_path(location)
    if local is not None:
        return local
    if isinstance(client, SharedClient):
        return Path(client.download(location, scratch))
    return Path(download(client.tracking_uri, location, scratch))


def read_artifact(client: MlflowClient | SharedClient, model_id: str) -> RegisteredFiles:
    """Everything that the registry hands out for a model, by content.

    Left out is what loading a model adds where the store is a local folder: `registered_model_meta`, which MLflow
    writes, and `__pycache__`, which Python writes.
    """
    foreign: list[str] = []

    def is_left_by_loading(folder: Path, path: str) -> bool:
        try:
            return path == "registered_model_meta" or (path.endswith(".pyc") and is_compiled_from_source(folder / path))
        except ForeignBytecodeError:
            foreign.append(path)
            return True

    with tempfile.TemporaryDirectory() as scratch:
        folder = artifact_folder(client, model_id, scratch)
        kept = [file for file in hash_tree(folder).files if not is_left_by_loading(folder, file.path)]
        return RegisteredFiles(folder_content(kept), foreign)
