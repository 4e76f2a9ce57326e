"""`make image` ends well where no image can be built, and is an error where only that of the Dockerfile cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from baked import TEMPLATE

ROOM = 32 * 10**9  # bytes
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root on Linux can build an image"),
    pytest.mark.skipif(shutil.disk_usage(TEMPLATE).free < ROOM, reason="there is no room here for an image"),
]
MMDEBSTRAP = 'for last; do :; done\n: > "$last"\n'
# `buildah ... bud ... FOLDER`; {fails} are the folders that it cannot build, and which time
BUILDAH = """
for last; do :; done
echo "building $last"
case "$(basename "$last") $(grep -c "building $last" {log})" in
    {fails}) echo "it is not to be had"; exit 1 ;;
esac
"""


def build(folder: Path, fails: str = "nothing", *, without: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the script with a buildah that fails at what is named; `without` one of the programs that it needs."""
    programs, image = folder / "bin", folder / "image"
    programs.mkdir()
    for program in ("sh", "grep", "basename", "git", "env", "unshare"):
        (programs / program).symlink_to(str(shutil.which(program)))
    for name, text in (("mmdebstrap", MMDEBSTRAP), ("buildah", BUILDAH.format(fails=fails, log=image / "build.log"))):
        if name != without:
            (programs / name).write_text(f"#!{shutil.which('sh')}\n{text}")
            (programs / name).chmod(0o755)
    command = [sys.executable, str(TEMPLATE / "scripts" / "image.py"), str(image)]
    environment = {**os.environ, "PATH": str(programs)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("program", ["buildah", "mmdebstrap"])
def test_a_machine_without_the_programs_is_told_which(program: str, tmp_path: Path) -> None:
    done = build(tmp_path, without=program)
    assert done.returncode == 0, done.stderr
    said = f"there is no {program} (Debian: `apt-get install {program}`)."
    assert f"The image was not built: {said}" in done.stdout
    assert (tmp_path / "image" / "why-not").read_text() == f"{said}\n"


@pytest.mark.parametrize("fails", ["base*", "probe*", '"traceable-digits 1" | "probe 2"'])
def test_a_machine_that_builds_no_image_at_all_is_no_error(fails: str, tmp_path: Path) -> None:
    done = build(tmp_path, fails)
    assert done.returncode == 0, done.stderr
    assert "The image was not built: no" in done.stdout
    assert (tmp_path / "image" / "why-not").read_text().endswith("it is not to be had\n")


def test_a_dockerfile_that_cannot_be_built_is_an_error(tmp_path: Path) -> None:
    done = build(tmp_path, "traceable-digits*")
    assert done.returncode == 1
    assert "it is not to be had\nThe Dockerfile cannot be built, and another one can" in done.stderr
    assert sorted(path.name for path in (tmp_path / "image").iterdir()) == ["build.log"]
