"""A PostgreSQL server of the test's own, on 127.0.0.1, from the binaries of Debian's package."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

DEBIAN = Path("/usr/lib/postgresql")
OWNER = "postgres"  # the package makes this user; a server refuses to be root's
USER, PASSWORD = "keeper", "p@ss:w/rd? 100%"


def why_not() -> str | None:
    """What is missing for a server, or None."""
    if binaries() is None:
        return "PostgreSQL is not installed"
    if os.geteuid() == 0 and not (has_owner() and shutil.which("setpriv")):
        return "PostgreSQL refuses to run as root, and there is no user postgres or no setpriv"
    return None


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl, of the newest version. Debian does not put them on the PATH."""
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def has_owner() -> bool:
    with contextlib.suppress(KeyError):
        pwd.getpwnam(OWNER)
        return True
    return False


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The address of a running server, whose log is written into `folder`. It ends with the block."""
    programs, log = binaries(), folder / "postgres.log"
    assert programs is not None
    # of its own: pytest's folders let nobody else in, and the path of a socket is cut off after 107 bytes
    with tempfile.TemporaryDirectory(prefix="pg-") as scratch:
        cluster, secret = Path(scratch) / "cluster", Path(scratch) / "secret"
        secret.write_text(PASSWORD)
        as_owner: list[str] = []
        if os.geteuid() == 0:
            as_owner = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups"]
            for path in (Path(scratch), secret):
                shutil.chown(path, OWNER, OWNER)
        options = [f"--pgdata={cluster}", f"--username={USER}", f"--pwfile={secret}", "--auth=scram-sha-256"]
        make = [*as_owner, str(programs / "initdb"), *options, "--encoding=UTF8", "--locale=C", "--no-sync"]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        places = ["-D", str(cluster), "-h", "127.0.0.1", "-p", port, "-k", scratch]
        with log.open("w") as output:
            subprocess.run(make, check=True, cwd=scratch, stdout=output, stderr=output)
            # not by pg_ctl: what that starts is nobody's child
            start = [*as_owner, str(programs / "postgres"), *places]
            server = subprocess.Popen(start, cwd=scratch, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 120
            ready = [str(programs / "pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={port}"]
            while subprocess.run(ready, check=False).returncode:
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)  # between two looks at the condition
            yield f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # waits for no client
            server.wait(timeout=60)


def sql(address: str, *statements: str) -> str:
    """What a server answers to statements, without headings."""
    programs = binaries()
    assert programs is not None
    commands = [f"--command={statement}" for statement in statements]
    options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
    psql = [str(programs / "psql"), *options, *commands, address]
    return subprocess.run(psql, check=True, capture_output=True, text=True).stdout.strip()
