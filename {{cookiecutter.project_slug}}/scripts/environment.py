"""Makes a virtual environment and installs locked packages into it: with uv where it is to be had, else with pip.

    python scripts/environment.py --venv .venv --requirements requirements.lock --editable .

Standard library only: it runs before anything is installed. Running it again costs nothing if nothing has changed.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venv", type=Path, required=True)
    parser.add_argument("--requirements", type=Path, nargs="+", required=True)
    parser.add_argument("--editable", type=Path, help="project to install on top, without its dependencies")
    arguments = parser.parse_args()

    require_python()
    python = python_of(arguments.venv)
    stamp = arguments.venv / "installed"
    wanted = fingerprint(arguments)
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    uv = find_uv(arguments.venv)
    if not python.exists():
        make_venv(arguments.venv, uv)
    install(python, uv or find_uv(arguments.venv, python), arguments)
    stamp.write_text(wanted)


def require_python():
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        for name in ("python3.13", "python3.12", "python3.11"):
            found = shutil.which(name)
            # a version manager's shim may be on the PATH without the version behind it
            if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
                sys.exit(subprocess.run([found, *sys.argv], check=False).returncode)
        version = ".".join(map(str, sys.version_info[:2]))
        sys.exit(
            f"Python 3.11 to 3.13 is needed and this is {version}. Name one: make setup PYTHON=/path/to/python3.12"
        )


def python_of(venv):
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint(arguments):
    """Changes when the interpreter, a requirement or the project's metadata does."""
    digest = hashlib.sha256(repr((sys.version_info[:2], str(arguments.editable))).encode())
    projects = [arguments.editable / "pyproject.toml"] if arguments.editable else []
    for path in [*arguments.requirements, *projects]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def find_uv(venv, python=None):
    """The path of uv: on the PATH, or installed by pip into a folder of its own; None if it cannot be had."""
    found = shutil.which("uv")
    if found:
        return found
    tools = venv / "tools"
    uv = tools / "bin" / ("uv.exe" if os.name == "nt" else "uv")
    if python is not None and not uv.exists():
        command = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
            str(tools),
            "uv",
        ]
        subprocess.run(command, capture_output=True, check=False)
    return str(uv) if uv.exists() else None


def make_venv(venv, uv):
    print(f"making {venv} with Python {'.'.join(map(str, sys.version_info[:3]))}", flush=True)
    if uv:
        command = [uv, "venv", "--quiet", "--seed", "--allow-existing", "--python", sys.executable, str(venv)]
    else:
        command = [sys.executable, "-m", "venv", str(venv)]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(f"{venv} could not be made. On Debian and Ubuntu, `apt install python3-venv` brings what is missing.")


def install(python, uv, arguments):
    pip = (
        [uv, "pip", "install", "--quiet", "--python", str(python)]
        if uv
        else [str(python), "-m", "pip", "install", "--quiet"]
    )
    files = [argument for path in arguments.requirements for argument in ("--requirement", str(path))]
    names = ", ".join(path.name for path in arguments.requirements)
    print(f"installing {names} with {'uv' if uv else 'pip'}; the first time takes minutes", flush=True)
    if arguments.editable:
        # pip does so anyway; where PYTHONDONTWRITEBYTECODE is set, each run would compile everything again
        os.environ.setdefault("UV_COMPILE_BYTECODE", "1")
    call([*pip, *files])
    if arguments.editable:
        # the build backend is in the lock, so nothing else is downloaded
        call([*pip, "--no-deps", "--no-build-isolation", "--editable", str(arguments.editable)])


def call(command):
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        sys.exit(code)


if __name__ == "__main__":
    main()
