"""A server of one file, with ranges, and with the faults that a test orders."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from servers import served


@dataclass
class FileServer:
    """What is served, how, and what was asked for."""

    data: bytes
    has_ranges: bool = True
    faults: list[str] = field(default_factory=list)  # of the next requests: "500", or "cut 1000" after so many bytes
    asked: list[str] = field(default_factory=list)  # the ranges, "" where the whole file was asked for
    url: str = ""
    goes_on: threading.Event = field(default_factory=threading.Event)  # what "stall 1000" waits for


@contextlib.contextmanager
def file_server(data: bytes) -> Iterator[FileServer]:
    """A server on 127.0.0.1 that serves `data` under any path."""
    server = FileServer(data)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.asked.append(self.headers.get("Range") or "")
            kind, _, amount = (server.faults.pop(0) if server.faults else "whole").partition(" ")
            if kind.isdigit():
                self.send_response(int(kind))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            found = re.fullmatch(r"bytes=(\d+)-", server.asked[-1]) if server.has_ranges else None
            start = int(found[1]) if found else 0
            if start >= len(server.data):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            rest = server.data[start:]
            self.send_response(206 if found else 200)
            if found:
                self.send_header("Content-Range", f"bytes {start}-{len(server.data) - 1}/{len(server.data)}")
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: int(amount)] if amount else rest)
            if kind == "stall":
                self.wfile.flush()
                server.goes_on.wait(60)
            self.close_connection = bool(amount)

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as address:
        server.url = f"{address}/cifar-10-python.tar.gz"
        try:
            yield server
        finally:
            server.goes_on.set()
