"""`lineage serve`: the program on this machine."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import NoReturn

from ..base.env import PIPELINE_SERVE
from ..contract import ROOT
from .allowed import Permission
from .chain import note_reason
from .files import bring, order_of

START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from lineage.serving.program.__main__ import main; main()"


def serve_here(permission: Permission, host: str, port: int) -> NoReturn:
    """Becomes the program `serve`.

    Raises ServingError if the files cannot be had, TrackerError if the accepted reason cannot be kept.
    """
    order = order_of(permission.case, permission.settings.serving.limits)
    folder = bring(permission.case)
    note_reason(permission, f"to serve at {host} port {port} of {platform.node()}")
    command = [sys.executable, "-I", "-c", START, str(ROOT), str(folder), "--host", host, "--port", str(port)]
    sys.stdout.flush()
    os.chdir(Path(folder).anchor)
    os.execve(sys.executable, command, {**os.environ, PIPELINE_SERVE: order.model_dump_json()})  # noqa: S606
