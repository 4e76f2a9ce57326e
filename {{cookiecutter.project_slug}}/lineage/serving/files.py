"""The registered files of a version, as they are served: brought, hashed, packed."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from ..base.errors import ServingError
from ..dvc.hashes import hash_tree
from ..proof.case import ModelCase
from ..settings.serving import Limits
from ..tracking.artifact import artifact_folder
from .program.order import Order

KEPT = Path(".dvc") / "tmp" / "kept" / "serving"


def bring(case: ModelCase) -> Path:
    """A folder with the registered files of a version, and nothing else. Raises ServingError if they are others.

    It is kept below the main project's .dvc/tmp, by their hash.
    """
    wanted = str(case.document["artifact"]["sha256"])
    target = case.evidence.main / KEPT / wanted
    if target.is_dir() and hash_tree(target).sha256 == wanted:
        return target
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made = _copy(case, Path(scratch))
        found = hash_tree(made).sha256
        if found != wanted:
            raise ServingError(
                f"the registry hands out other files for {case.title} than were registered (SHA-256 {found[:12]}..., "
                f"registered were {wanted[:12]}...). `lineage verify {case.title}` names them."
            )
        made.rename(target)
    return target


def _copy(case: ModelCase, scratch: Path) -> Path:
    """Of what the registry hands out, the files that lineage.json names: loading may have left others beside them."""
    assert case.version is not None
    store, made = case.evidence.store, scratch / "made"
    (scratch / "download").mkdir()
    with store.asked("read the registered model"):
        model_id = case.version.source.removeprefix("models:/")
        folder = artifact_folder(store.client, model_id, str(scratch / "download"))
    for file in case.document["artifact"]["files"]:
        path = PurePosixPath(file["path"])
        if path.is_absolute() or ".." in path.parts:
            raise ServingError(f"lineage.json names the file {file['path']!r}, which is outside of its model.")
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(folder / path, made / path)
        except FileNotFoundError:
            raise ServingError(f"{file['path']} of {case.title} is missing in the registry.") from None
    return made


def pack(folder: Path) -> bytes:
    """The files as SageMaker wants them, a model.tar.gz: the same bytes for the same files."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                archive.addfile(entry, file)
    return buffer.getvalue()


def order_of(case: ModelCase, limits: Limits) -> Order:
    """What the program `serve` is told."""
    return Order(
        model=case.title, identity=case.identity, sha256=str(case.document["artifact"]["sha256"]), limits=limits
    )
