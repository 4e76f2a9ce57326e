"""Builds the image of a project's Dockerfile, and lays its root file system into .image/ for the tests.

    python scripts/image.py [FOLDER]

With Debian's buildah, which needs no daemon, as root. What the Dockerfile begins from is made of Debian's packages, so
that no registry of images is asked: the same Debian family with another Python, which is said. A machine that cannot
build any image is no fault of the Dockerfile: then the reason is printed and kept for the tests that are skipped, and
this ends well. A Dockerfile that cannot be built where another one can is an error.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from project import TEMPLATE, bake

IMAGE = Path(sys.argv[1]).resolve() if sys.argv[1:] else TEMPLATE / ".image"
ROOTFS, CONFIG, WHY_NOT, LOG = (IMAGE / name for name in ("rootfs", "image.json", "why-not", "build.log"))
STORAGE, WORK = IMAGE / "storage", IMAGE / "work"  # gone when it is done
# no driver that mounts anything: what is left when this is killed can be deleted like any folder
BUILDAH = ("buildah", f"--root={STORAGE}", f"--runroot={WORK / 'run'}", "--storage-driver=vfs")
# what a command mounts is seen by nobody else, and is gone with it: nothing stays mounted in a folder that is deleted
ALONE = ("unshare", "--mount", "--propagation", "private")
TAG = "localhost/project"
ROOM = 32 * 10**9  # bytes; what is installed has 7, and lies there up to four times while the image is made
PATIENCE = 15 * 60  # seconds for the build; and for each of the four steps around it
A_STEP = 5 * 60
LAST = 60  # lines that are shown of a build that failed
BASE = """FROM scratch
ADD debian.tar /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
"""
# what every image needs that installs anything
PROBE = """FROM {base}
RUN apt-get update && python -m pip download --quiet --no-deps --dest /tmp/probe pip
"""
# of the settings of pip on this machine, those that say how a package is reached
REACH = ("index-url", "proxy", "trusted-host", "timeout")


class CannotBuildError(Exception):
    """This machine builds no image, whatever the Dockerfile says."""


def main() -> None:
    shutil.rmtree(IMAGE, ignore_errors=True)
    for folder in (STORAGE, WORK):
        folder.mkdir(parents=True)
    try:
        build()
    except CannotBuildError as error:
        print(f"The image was not built: {error}", flush=True)
        WHY_NOT.write_text(f"{error}\n", encoding="utf-8")
    finally:
        for folder in (STORAGE, WORK):
            shutil.rmtree(folder, ignore_errors=True)


def build() -> None:
    """Raises CannotBuildError, or ends the program where the Dockerfile cannot be built."""
    require_machine()
    project = bake(WORK / "baked")
    dockerfile = project / "Dockerfile"
    [base] = [line.split()[1] for line in dockerfile.read_text().splitlines() if line.startswith("FROM ")]
    reach = reach_of_packages(WORK / "reach")
    with timed("the Debian that it begins from"):
        make_base(base)
        probe(base, reach)
    with timed("the image of the Dockerfile"):
        try:
            bud(project, TAG, "--no-cache", f"--volume={reach}:/etc/xdg/pip:ro", seconds=PATIENCE)
        except subprocess.CalledProcessError:
            said = last_lines(LOG, LAST)
            probe(base, reach)  # raises if it is the machine's fault after all
            sys.exit(f"{said}\nThe Dockerfile cannot be built, and another one can: see above and {LOG}.")
        except subprocess.TimeoutExpired:
            raise CannotBuildError(f"it was not done after {PATIENCE // 60} minutes; see {LOG}.") from None
    with timed("its root file system"):
        unpack()
    shutil.copy(dockerfile, IMAGE / "Dockerfile")
    print(f"{IMAGE} holds the image of the Dockerfile, on {base_of(ROOTFS)} in place of {base}.", flush=True)


def require_machine() -> None:
    if platform.system() != "Linux" or os.geteuid() != 0:
        raise CannotBuildError("only root on Linux can, here.")
    for program in ("buildah", "mmdebstrap"):
        if shutil.which(program) is None:
            raise CannotBuildError(f"there is no {program} (Debian: `apt-get install {program}`).")
    free = shutil.disk_usage(IMAGE).free
    if free < ROOM:
        raise CannotBuildError(f"{free / 1e9:.0f} GB are free in {IMAGE}, and it takes {ROOM / 1e9:.0f} GB meanwhile.")


def reach_of_packages(folder: Path) -> Path:
    """A folder with settings of pip by which containers reach packages as this machine does: by a proxy, a mirror."""
    parser = configparser.RawConfigParser()
    parser.read("/etc/pip.conf")
    known = dict(parser["global"]) if parser.has_section("global") else {}
    for name in (*REACH, "cert"):
        known[name] = os.environ.get(f"PIP_{name.upper().replace('-', '_')}") or known.get(name, "")
    folder.mkdir()
    lines = ["[global]", *(f"{name} = {known[name]}" for name in REACH if known[name])]
    if known["cert"]:
        shutil.copy(known["cert"], folder / "ca.crt")
        lines.append("cert = /etc/xdg/pip/ca.crt")
    (folder / "pip.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def make_base(name: str) -> None:
    """An image of Debian with Python where the official ones have it, in /usr/local, and pip. Raises as probe does."""
    folder = WORK / "base"
    folder.mkdir()
    release = platform.freedesktop_os_release()
    suite = release.get("VERSION_CODENAME", "sid") if release["ID"] == "debian" else "stable"
    hook = 'chroot "$1" python3 -m venv /usr/local'
    included = "--include=python3,python3-venv,ca-certificates"
    command = ["mmdebstrap", "--variant=apt", included, f"--customize-hook={hook}", suite, str(folder / "debian.tar")]
    try:
        logged(command, A_STEP)
        (folder / "Dockerfile").write_text(BASE, encoding="utf-8")
        bud(folder, name)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise CannotBuildError(f"no Debian could be made: {last_lines(LOG, 3)}") from error
    (folder / "debian.tar").unlink()


def probe(base: str, reach: Path) -> None:
    """Raises CannotBuildError if no image can be built here, or no package be had in one."""
    folder = WORK / "probe"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(PROBE.format(base=base), encoding="utf-8")
    try:
        bud(folder, "localhost/probe", "--no-cache", f"--volume={reach}:/etc/xdg/pip:ro")
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise CannotBuildError(f"none can be built here, nor packages be had in it: {last_lines(LOG, 3)}") from error


def bud(folder: Path, tag: str, *options: str, seconds: float = A_STEP) -> None:
    """Builds the Dockerfile in a folder, from images that are here."""
    logged([*BUILDAH, "bud", "--isolation=chroot", "--pull-never", *options, f"--tag={tag}", str(folder)], seconds)


def logged(command: list[str], seconds: float) -> None:
    """Runs a command with its output in the log. Raises CalledProcessError; or TimeoutExpired, and nothing runs on."""
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            [*ALONE, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(WORK)},
            start_new_session=True,
        )
        try:
            code = process.wait(seconds)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if code != 0:
        raise subprocess.CalledProcessError(code, command)


def unpack() -> None:
    """The image's files and its configuration, out of the storage of buildah, which ends here."""
    wanted = [*BUILDAH, "inspect", "--type=image", TAG]
    described = json.loads(subprocess.run(wanted, stdout=subprocess.PIPE, check=True).stdout)
    CONFIG.write_text(json.dumps(described["OCIv1"], indent=2), encoding="utf-8")
    # `buildah mount` would copy all of it once more
    images = json.loads((STORAGE / "vfs-images" / "images.json").read_text(encoding="utf-8"))
    [layer] = [image["layer"] for image in images if f"{TAG}:latest" in image.get("names", [])]
    (STORAGE / "vfs" / "dir" / layer).rename(ROOTFS)


def base_of(rootfs: Path) -> str:
    """What the root file system says of itself."""
    known = dict(line.split("=", 1) for line in (rootfs / "etc" / "os-release").read_text().splitlines() if "=" in line)
    [python] = (rootfs / "usr" / "bin").glob("python3.*[0-9]")
    name = known["PRETTY_NAME"].strip('"')
    return f"{name} with {python.name}"


def last_lines(path: Path, count: int) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return "\n".join(lines[-count:])


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
