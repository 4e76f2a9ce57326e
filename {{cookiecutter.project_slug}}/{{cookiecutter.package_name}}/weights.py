"""Weights of others that a training may start from: brought once, checked, and from then on an object of DVC."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import track

from .errors import DataError
from .settings.model import Weights

CHUNK = 1 << 20
TIMEOUT = (10, 60)  # seconds: to connect, and between two pieces
RETRIES = 3
ON_THE_WEB = ("http", "https")


def bring(settings: Weights, target: Path, kept: Path, root: Path) -> None:
    """Writes the file that `settings` names to `target`.

    It comes from the folder `kept`, which also keeps it, or else from its address. `root` is what a relative path is
    relative to. Raises DataError if it cannot be had, or its SHA-256 is not the one that is set.
    """
    assert settings.url is not None and settings.sha256 is not None  # the settings were checked
    there = kept_file(kept, settings.sha256)
    if not there.is_file() or sha256_of(there) != settings.sha256:
        kept.mkdir(parents=True, exist_ok=True)
        partial = there.with_name(f"{there.name}.partial")
        try:
            _fetch(settings.url, root, partial)
            _require(partial, settings)
            partial.replace(there)
        finally:
            partial.unlink(missing_ok=True)
    shutil.copyfile(there, target)


def kept_file(kept: Path, sha256: str) -> Path:
    """Where a file of that SHA-256 is kept."""
    return kept / f"{sha256}.pth"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(url: str, root: Path, target: Path) -> None:
    try:
        if urlsplit(url).scheme in ON_THE_WEB:
            _download(url, target)
        else:
            shutil.copyfile(root / url, target)
    except OSError as error:  # those of requests are OSErrors too
        raise DataError(
            f"{url} does not give the weights ({_reason(error)}). `-S model.pretrained=false` trains without them; "
            "`-S weights.url=...` takes the same file from a mirror or a path."
        ) from None


def _download(url: str, target: Path) -> None:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    again = Retry(RETRIES, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False)
    with requests.Session() as session:
        for scheme in ON_THE_WEB:
            session.mount(f"{scheme}://", HTTPAdapter(max_retries=again))
        with session.get(url, stream=True, timeout=TIMEOUT) as answer, target.open("wb") as file:
            answer.raise_for_status()
            pieces = int(answer.headers.get("Content-Length") or 0) / CHUNK
            for piece in track(answer.iter_content(CHUNK), "weights", pieces or None, console=Console(stderr=True)):
                file.write(piece)


def _require(path: Path, settings: Weights) -> None:
    found = sha256_of(path)
    if found != settings.sha256:
        raise DataError(
            f"{settings.url} gave a file with the SHA-256 {found}, weights.sha256 is {settings.sha256}: it was not "
            "used. Try again; if it stays so, the file there is another one."
        )


def _reason(error: OSError) -> str:
    """The innermost cause in its own words: what libraries wrap around it names their classes."""
    cause: BaseException = error
    while (inner := getattr(cause, "reason", None) or next(iter(cause.args), None)) and isinstance(inner, Exception):
        cause = inner
    return (str(cause).strip() or type(cause).__name__).splitlines()[0][:200]
