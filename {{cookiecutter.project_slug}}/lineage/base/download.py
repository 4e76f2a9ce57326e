"""One file whose SHA-256 is known: downloads are retried, resumed after a kill, and never taken for whole before."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from .errors import DataError

CHUNK = 2**16  # bytes; what has arrived of one can be lost when the connection breaks
TIMEOUT = 30  # seconds without an answer, or without a byte
TRIES = 5  # in a row that bring nothing new
BUSY = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class KnownFile:
    """A file whose content is known before it is there."""

    url: str  # an http(s) address, or a path, absolute or relative to the project
    sha256: str
    section: str  # of the settings that name both, for people
    otherwise: str = ""  # a sentence that says what to do without the file

    def obtain(self, kept: Path, root: Path) -> Path:
        """The file: from the folder `kept`, which also keeps what is loaded, whole or not; or else from its address.

        `root` is what a relative path is relative to. Raises DataError if it cannot be had, or is another file: then
        nothing of it is kept.
        """
        target = kept / self.sha256
        if "://" not in self.url:
            return target if self._is_whole(target) else self._local(root)
        kept.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):  # experiments that run side by side share one download
            if not self._is_whole(target):
                self._download(target)
        return target

    def _is_whole(self, target: Path) -> bool:
        return target.exists() and hash_file(target) == self.sha256  # a loss of power can leave zeros

    def _local(self, root: Path) -> Path:
        try:
            path = root / Path(self.url).expanduser()
        except RuntimeError:  # `~name` of somebody who is not known here
            raise DataError(
                f"{self.url} begins with a home folder that this machine does not have. Give {self.section}.url a path "
                f"without ~, or an address.{self._else}"
            ) from None
        if not path.is_file():
            raise DataError(f"{path} is no file. Put it there, or give {self.section}.url an address.{self._else}")
        found = hash_file(path)
        if found != self.sha256:
            raise DataError(
                f"{path} is not what {self.section}.sha256 promises: its SHA-256 is {found}. Load it again.{self._else}"
            )
        return path

    def _download(self, target: Path) -> None:
        partial = target.with_suffix(".partial")
        was_resumed = partial.exists()
        self._append_to(partial)
        found = hash_file(partial)
        if found != self.sha256 and was_resumed:  # the first half may have come from another place, or another file
            partial.unlink()
            self._append_to(partial)
            found = hash_file(partial)
        if found != self.sha256:
            size = partial.stat().st_size
            partial.unlink()
            raise DataError(
                f"what {self.url} holds is not what {self.section}.sha256 promises: {size} bytes with SHA-256 {found}. "
                f"Nothing of it was used or kept. Run this again, or name a mirror in {self.section}.url.{self._else}"
            )
        partial.replace(target)

    def _append_to(self, partial: Path) -> None:
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        try:
            _load(self.url, partial)
        except (RequestException, HTTPError, UnicodeError) as error:  # UnicodeError: of a name that no host can have
            raise DataError(
                f"{self.url} could not be downloaded: {_reason(error)}. What was loaded is kept, and the next run "
                f"goes on from there. Look at the network, or name a mirror in {self.section}.url.{self._else}"
            ) from None

    @property
    def _else(self) -> str:
        return f" {self.otherwise}" if self.otherwise else ""


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(url: str, partial: Path) -> None:
    """Appends to `partial` what is missing of the file at `url`. A connection that breaks off is taken up again.

    Raises RequestException or urllib3's HTTPError if it cannot be had.
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.exceptions import HTTPError
    from urllib3.util import Retry

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with requests.Session() as session, Progress(*columns, console=Console(stderr=True)) as progress:
        retry = Retry(TRIES, backoff_factor=0.5, status_forcelist=BUSY, raise_on_status=False)
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.mount("https://", HTTPAdapter(max_retries=retry))
        task, failures = progress.add_task("downloading", total=None), 0
        most = _size(partial)  # a server without ranges begins again each time: what it only repeats is nothing new
        while True:
            try:
                _append(session, url, partial, progress, task)
                return
            except (requests.RequestException, HTTPError) as error:
                failures = 0 if _size(partial) > most else failures + 1
                most = max(most, _size(partial))
                # what the session has tried again by itself will not go better now
                is_final = isinstance(error, requests.HTTPError | requests.ConnectionError) and failures > 0
                if is_final or failures == TRIES:
                    raise


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _append(session: Any, url: str, partial: Path, progress: Progress, task: Any) -> None:
    start = _size(partial)
    # `identity`: a range of compressed bytes would be another file
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416 and start:  # nothing is left to load, or it was another file
            return
        response.raise_for_status()
        is_rest = response.status_code == 206
        start = start if is_rest else 0
        left = response.raw.length_remaining
        progress.update(task, completed=start, total=None if left is None else start + left)
        with partial.open("ab" if is_rest else "wb") as file:
            # not `iter_content`: it unpacks what a server calls packed, as some do with every .tar.gz
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                file.write(chunk)
                progress.advance(task, len(chunk))


def _reason(error: Exception) -> str:
    from urllib3.exceptions import ProtocolError, ReadTimeoutError

    if isinstance(error, ProtocolError):
        return "the connection broke off before the end"
    if isinstance(error, ReadTimeoutError):
        return f"nothing came for {TIMEOUT} seconds"
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answers {response.status_code} {response.reason}".rstrip()
    # the innermost reason: requests and urllib3 wrap it in their own
    cause: Any = error
    while getattr(cause, "reason", None) or (cause.args and isinstance(cause.args[0], Exception)):
        cause = getattr(cause, "reason", None) or cause.args[0]
    text = str(cause).rpartition(": ")[2] if "Errno" in str(cause) else str(cause)
    return (text or type(cause).__name__).splitlines()[0][:200].rstrip(". ")
