"""Whether a model can be served, tried in a process of its own: see registration.py."""

from __future__ import annotations

SOURCE = """
import os
import pickle
import sys
import traceback
from importlib import import_module
from pathlib import Path

project, package = sys.argv[1:]
# the project is installed in its environment, in editable form: nothing of it is there where a model is served
sys.path = [os.getcwd(), *(place for place in sys.path if Path(place).resolve() != Path(project).resolve())]
sys.meta_path = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]
try:
    import_module(package)._load_pyfunc("data").predict(pickle.loads(Path("example").read_bytes()))
except Exception as error:
    source = Path(package).resolve() / "source"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if source in Path(frame.filename).parents]
    place = f" ({Path(frames[-1].filename).relative_to(source)}, line {frames[-1].lineno})" if frames else ""
    print(" ".join(f"{type(error).__name__}: {error}{place}".split()), file=sys.stderr)
    sys.exit(1)
"""
