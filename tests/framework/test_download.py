from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lineage.base.download import KnownFile
from lineage.base.errors import DataError

DATA = b"weights " * 300_000  # more than two pieces
SHA256 = sha256(DATA).hexdigest()


class Host(BaseHTTPRequestHandler):
    """Serves DATA, but fails twice first, cuts it off, or serves something else."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        if self.path == "/in-turn":  # breaks off now later, now earlier, and knows no ranges
            self.send(DATA, sent=600_000 if self.asked % 2 else 400_000)
            return
        if self.path == "/marked":
            self.send(DATA, len(DATA), encoding="x-gzip")
            return
        if self.path == "/no-range":
            self.send_error(416)
            return
        if (self.path == "/busy" and self.asked <= 2) or self.path == "/gone":
            self.send_error(503 if self.path == "/busy" else 404)
            return
        data = DATA[:-1] + b"?" if self.path == "/tampered" else DATA
        self.send(data, len(data) // 2 if self.path == "/cut" else len(data))

    def send(self, data: bytes, sent: int, encoding: str | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()
        self.wfile.write(data[:sent])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[str]:
    Host.asked = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def obtain(folder: Path, url: str) -> bytes:
    return KnownFile(url, SHA256, "weights", "Or do without.").obtain(folder / "kept", folder).read_bytes()


@pytest.mark.parametrize("path", ["/weights.pth", "/busy"])
def test_the_file_is_brought_and_kept(tmp_path: Path, host: str, path: str) -> None:
    assert obtain(tmp_path, host + path) == DATA
    asked = Host.asked
    assert obtain(tmp_path, host + path) == DATA
    assert Host.asked == asked
    (tmp_path / "kept" / SHA256).write_bytes(b"damaged")
    assert obtain(tmp_path, host + path) == DATA
    assert Host.asked > asked


def test_a_path_does_as_well_and_needs_not_be_there_once_the_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mirror.pth").write_bytes(DATA)
    assert obtain(tmp_path, "mirror.pth") == DATA
    assert obtain(tmp_path, str(tmp_path / "mirror.pth")) == DATA
    (tmp_path / "kept").mkdir()
    (tmp_path / "mirror.pth").rename(tmp_path / "kept" / SHA256)
    assert obtain(tmp_path, "mirror.pth") == DATA


def test_a_path_does_as_well_where_the_kept_file_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "mirror.pth").write_bytes(DATA)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / SHA256).write_bytes(bytes(len(DATA)))
    assert obtain(tmp_path, "mirror.pth") == DATA
    assert obtain(tmp_path, str(tmp_path / "mirror.pth")) == DATA


def test_bytes_are_kept_as_sent_where_the_server_says_that_they_are_packed(tmp_path: Path, host: str) -> None:
    assert obtain(tmp_path, f"{host}/marked") == DATA


def refusal(folder: Path, url: str) -> str:
    """What is said; nothing may be left that could be taken for the file."""
    with pytest.raises(DataError) as caught:
        obtain(folder, url)
    assert not (folder / "kept" / SHA256).exists()
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith(" Or do without.")
    return said


@pytest.mark.parametrize("path", ["/gone", "/cut", "/in-turn", "/no-range"])
def test_a_file_that_cannot_be_had_is_told_with_the_ways_out(tmp_path: Path, host: str, path: str) -> None:
    said = refusal(tmp_path, host + path)
    assert said.startswith(f"{host}{path} could not be downloaded: ")
    assert "name a mirror in weights.url" in said
    assert Host.asked < 10


@pytest.mark.parametrize(
    "url", ["https://www..invalid/a.tgz", f"https://{'a' * 64}.invalid/", "http://[::1", "ftp://host.invalid/a.tgz"]
)
def test_an_address_that_is_none_is_told(tmp_path: Path, url: str) -> None:
    said = refusal(tmp_path, url)
    assert said.startswith(f"{url} could not be downloaded: ")
    assert "weights.url" in said


def test_a_home_folder_of_nobody_is_told(tmp_path: Path) -> None:
    said = refusal(tmp_path, "~nosuchuser/x.tgz")
    assert said.startswith("~nosuchuser/x.tgz begins with a home folder")
    assert "weights.url" in said


def test_without_a_network_the_same_ways_out_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []  # between one attempt and the next; nobody waits for them here
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waits.append)
    said = refusal(tmp_path, "http://nowhere.invalid/weights.pth")
    assert said.startswith("http://nowhere.invalid/weights.pth could not be downloaded: ")
    assert "<" not in said  # the name of a class
    assert waits == [1, 2, 4, 8]


@pytest.mark.parametrize("is_local", [True, False])
def test_other_bytes_are_refused_with_their_hash(tmp_path: Path, host: str, is_local: bool) -> None:
    (tmp_path / "mirror.pth").write_bytes(DATA[:-1] + b"?")
    said = refusal(tmp_path, "mirror.pth" if is_local else f"{host}/tampered")
    assert "not what weights.sha256 promises" in said
    assert sha256(DATA[:-1] + b"?").hexdigest() in said
