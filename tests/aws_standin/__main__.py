"""python -m aws_standin --state DIR --image URI=FOLDER

An image is a folder of executables, or one with the root file system of an image: see roots.py.

Prints its address in the first line, then serves until standard input is closed.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from pathlib import Path

from .place import Place
from .server import StandIn, serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--region", default="eu-central-1")
    parser.add_argument("--grace", type=float, default=120, help="seconds that a job has to stop (the service's: 120)")
    parser.add_argument("--image", action="append", default=[], metavar="URI=FOLDER")
    parser.add_argument("--environment", action="append", default=[], metavar="NAME=VALUE", help="of every container")
    parser.add_argument("--mlflow", type=Path, metavar="FOLDER", help="executables of MLflow apps")
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    images = {uri: Path(folder) for uri, _, folder in (image.rpartition("=") for image in options.image)}
    environment = {name: value for name, _, value in (item.partition("=") for item in options.environment)}
    place = Place(options.state, images, "", options.region, options.grace, environment, mlflow=options.mlflow)
    server = serve(place)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(place.endpoint, flush=True)
    sys.stdin.read()
    assert isinstance(server.app, StandIn)
    server.app.end()
    server.shutdown()


main()
