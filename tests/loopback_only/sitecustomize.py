"""Put on PYTHONPATH by tests: a process that connects to another machine fails, and leaves a line in LOOPBACK_ONLY."""

import os
import sys

HERE = ("127.", "localhost", "::1", "0.0.0.0")


def watch(event, arguments):
    if event not in ("socket.connect", "socket.getaddrinfo"):
        return
    address = arguments[1] if event == "socket.connect" else arguments[0]
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode() if isinstance(host, bytes) else host
    if event == "socket.connect" and not isinstance(address, tuple):
        return  # a Unix socket
    if not host or host.startswith(HERE) or host == os.uname().nodename:
        return
    with open(os.environ["LOOPBACK_ONLY"], "a") as log:  # noqa: PTH123  pathlib is not worth its import here
        log.write(f"{event} {address} by {' '.join(sys.argv)}\n")
    raise ConnectionRefusedError(f"this test must not leave the machine: {address}")


sys.addaudithook(watch)
