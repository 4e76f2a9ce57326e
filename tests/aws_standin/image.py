"""An image whose Python begins as a fork of one that has imported what jobs import: see forks.py and container.py.

    python image.py NAME

Answers at the abstract address NAME until standard input is closed. `make` writes the executables of such an image.
"""

import ctypes
import json
import os
import selectors
import socket
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path

PRELOADED = (
    *("dvc.cli", "dvc.cli.parser", "dvc.repo", "dvc_s3", "s3fs", "boto3", "pyarrow.parquet", "safetensors.numpy"),
    *("mlflow", "mlflow.store.tracking.sqlalchemy_store", "PIL.Image", "psutil", "filelock", "omegaconf"),
)
# `python3` of the image: hands launch.py over with its files, and lives as long as that. Anything else is a new process
PYTHON = """#!{python} -IS
import json, os, signal, socket, sys

if not (len(sys.argv) > 1 and sys.argv[1].endswith("launch.py")):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
request = {{"command": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd(), "session": False}}
note = os.memfd_create("request")
os.write(note, json.dumps(request).encode())
with socket.socket(socket.AF_UNIX) as image:
    image.connect("\\0" + {name!r})
    socket.send_fds(image, [b"!"], [0, 1, 2, note])
    process = int.from_bytes(image.recv(4, socket.MSG_WAITALL), "big")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: os.kill(process, number))
    code = image.recv(1)
sys.exit(code[0] if code else 1)
"""


def make(folder: Path, executables: Path, name: str) -> Path:
    """A folder with `executables` of which `python` and `python3` ask the process that answers at `name`."""
    folder.mkdir()
    for file in executables.iterdir():
        if not file.name.startswith("python"):
            (folder / file.name).symlink_to(file)
    for own in ("python", "python3"):
        (folder / own).write_text(PYTHON.format(python=str(executables / "python"), name=name))
        (folder / own).chmod(0o755)
    return folder


def main() -> None:
    sys.path.append(str(Path(__file__).parents[1]))
    import forks

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    forks.compile_ahead()
    learn(PRELOADED)
    with socket.socket(socket.AF_UNIX) as listener, tempfile.TemporaryFile("a+b") as learned:
        forks.take_down(learned.fileno())
        listener.bind("\0" + sys.argv[1])
        listener.listen()
        print("ready", flush=True)
        waiting = selectors.DefaultSelector()
        waiting.register(listener, selectors.EVENT_READ)
        waiting.register(0, selectors.EVENT_READ)
        while 0 not in [key.fd for key, _ in waiting.select()]:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    answer(connection)
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            learned.seek(0)
            learn(learned.read().decode().split())
            learned.truncate(0)


def learn(names) -> None:
    import gc

    for name in names:
        with suppress(Exception):
            import_module(name)
    gc.collect()
    gc.freeze()


def answer(connection) -> None:
    """Runs what is asked for where it was asked: in the namespaces of the process that asks. Never returns."""
    import forks

    _, numbers, _, _ = socket.recv_fds(connection, 1, 4)
    *streams, note = numbers
    request = json.loads(os.pread(note, os.fstat(note).st_size, 0))
    asker = int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4), sys.byteorder)
    spaces = [os.open(f"/proc/{asker}/ns/{kind}", os.O_RDONLY) for kind in ("pid", "mnt")]
    for space in spaces:
        if ctypes.CDLL(None, use_errno=True).setns(space, 0):
            raise OSError(ctypes.get_errno(), "setns")
    process = os.fork()  # the first one in the other namespace of processes
    if process == 0:
        connection.send(os.getpid().to_bytes(4, "big"))
        forks.begin(request, streams)
    for number in streams:
        os.close(number)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    with suppress(OSError):
        connection.send(bytes([code if code >= 0 else 128 - code]))
    os._exit(0)


if __name__ == "__main__":
    main()
