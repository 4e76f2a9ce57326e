"""python -m lineage.serving.program [FOLDER] [--host 0.0.0.0] [--port 8080]

Serves the registered files in FOLDER (/opt/ml/model in a container) until it is ended. PIPELINE_SERVE says which model
they must be. Nobody is answered before the model has answered its example.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from ...base.env import PIPELINE_SERVE, SAGEMAKER_BIND_TO_PORT
from ...base.errors import ServingError
from .order import read_order


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="serve", description=__doc__.partition("\n\n")[2])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("/opt/ml/model"))
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104  a container is asked from outside
    parser.add_argument("--port", type=int, default=int(os.environ.get(SAGEMAKER_BIND_TO_PORT) or 8080))
    given = parser.parse_args(arguments)
    try:
        serve(given.folder, given.host, given.port)
    except ServingError as error:
        print(f"serve: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


def serve(folder: Path, host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT. Raises ServingError if it cannot."""
    order = read_order(os.environ.get(PIPELINE_SERVE))
    # each request has a thread of its own: one that takes all processors would hold up the others
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from .loaded import load, other_packages

    model = load(folder, order.sha256)
    others = other_packages(folder)
    for name, said in others.items():
        print(f"warning: {name} is {said}, with which the model was registered", file=sys.stderr, flush=True)
    import uvicorn

    from .app import Service

    config = uvicorn.Config(
        Service(model, order, others).app(), log_level="warning", access_log=False, server_header=False, lifespan="off"
    )
    with listen(host, port) as listener:
        print(f"serving {order.model} at http://{host}:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that requests come to. Raises ServingError if there can be none."""
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each answer takes 40 ms longer
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ServingError(f"{host} port {port} cannot be listened on: {error.strerror}.") from None
    listener.listen(128)
    return listener


if __name__ == "__main__":
    main()
