"""What `make setup` installs is compiled: where nobody writes bytecode, each run would compile everything again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lineage.base import workers

INSIDE = Path(workers.__file__).parents[2]
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
# makes the editable installation of a project without a library for it
BACKEND = """
import zipfile
from pathlib import Path

def build_editable(folder, config_settings=None, metadata_directory=None):
    name, info = "own-1-py3-none-any.whl", "own-1.dist-info"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        wheel.writestr("own.pth", str(Path.cwd()))
        for file, text in {files}.items():
            wheel.writestr(f"{{info}}/{{file}}", text)
        wheel.writestr(f"{{info}}/RECORD", "")
    return name
"""


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed; pip compiles anyway")
def test_installed_packages_are_compiled_where_nobody_writes_bytecode(tmp_path: Path) -> None:
    wheel = tmp_path / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tiny.py", "ANSWER = 42\n")
        for name, text in {"METADATA": METADATA.format(name="tiny"), "WHEEL": WHEEL, "RECORD": ""}.items():
            file.writestr(f"tiny-1.dist-info/{name}", text)
    (tmp_path / "requirements.txt").write_text(f"{wheel}\n")
    project = tmp_path / "project"
    project.mkdir()
    (project / "backend.py").write_text(BACKEND.format(files={"METADATA": METADATA.format(name="own"), "WHEEL": WHEEL}))
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "own"\nversion = "1"\n'
    )
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    command = [sys.executable, str(INSIDE / "scripts" / "environment.py"), "--venv", str(venv)]
    command += ["--requirements", str(tmp_path / "requirements.txt"), "--editable", str(project)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    subprocess.run(command, env={**environment, "PYTHONDONTWRITEBYTECODE": "1"}, check=True)
    (source,) = venv.rglob("tiny.py")
    assert [file.name.partition(".")[0] for file in (source.parent / "__pycache__").iterdir()] == ["tiny"]


def test_the_image_is_compiled_by_pip() -> None:
    (install,) = [line for line in (INSIDE / "Dockerfile").read_text().splitlines() if "pip install" in line]
    assert "--no-compile" not in install
