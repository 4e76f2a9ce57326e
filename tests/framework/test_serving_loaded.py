from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from lineage.base.env import PIPELINE_SERVE
from lineage.base.errors import ServingError
from lineage.dvc.hashes import hash_tree
from lineage.serving.files import pack
from lineage.serving.program.__main__ import listen
from lineage.serving.program.loaded import load, other_packages, refuse
from lineage.serving.program.order import read_order

CODE = """
from pathlib import Path

Path({ran!r}).touch()


class Model:
    def answer(self, body, kind, most, refuse, go_on):
        if not body.startswith(b"{{"):
            refuse(400, "no brace")
        return body, kind


def _load_pyfunc(path):
    assert (Path(path) / "weights").read_text() == "1"
    return Model()
"""


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A file that is there once code of the model has run."""
    return tmp_path / "ran"


@pytest.fixture
def registered(tmp_path: Path, ran: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files as MLflow keeps them for a model."""
    folder = tmp_path / "model"
    name = f"model_{tmp_path.name.replace('-', '_')}"
    (folder / "code" / name).mkdir(parents=True)
    (folder / "data" / "model").mkdir(parents=True)
    (folder / "data" / "model" / "weights").write_text("1")
    (folder / "code" / name / "__init__.py").write_text(CODE.format(ran=str(ran)))
    flavor = {"loader_module": name, "code": "code", "data": "data/model"}
    (folder / "MLmodel").write_text(json.dumps({"flavors": {"python_function": flavor}}))
    (folder / "serving_input_example.json").write_text("{}")
    (folder / "requirements.txt").write_text("pytest==0.1\nhypothesis==" + __import__("hypothesis").__version__)
    monkeypatch.setattr(sys, "path", [*sys.path])  # loading adds to it
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    return folder


def test_the_registered_files_are_loaded_and_answer(registered: Path) -> None:
    model = load(registered, hash_tree(registered).sha256)
    assert model.answer(b"{}", "application/json", 1, refuse, lambda: None)[0] == b"{}"
    assert not list(registered.rglob("__pycache__"))


@pytest.mark.parametrize("change", ["changed", "added", "missing"])
def test_of_other_files_nothing_is_run(registered: Path, ran: Path, change: str) -> None:
    sha256 = hash_tree(registered).sha256
    weights = registered / "data" / "model" / "weights"
    match change:
        case "changed":
            weights.write_text("2")
        case "added":
            (registered / "code" / "more.py").write_text("")
        case "missing":
            weights.unlink()
    with pytest.raises(ServingError, match="not those that were registered"):
        load(registered, sha256)
    assert not ran.exists()


def test_no_files_at_all(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="there are no registered files"):
        load(tmp_path / "nothing", "0" * 64)


def test_a_model_that_does_not_answer_its_example_serves_nobody(registered: Path) -> None:
    (registered / "serving_input_example.json").write_text("no brace")
    with pytest.raises(ServingError, match="does not answer its own example: RefusedError: no brace"):
        load(registered, hash_tree(registered).sha256)


def test_a_model_without_answer_is_named_as_such(registered: Path) -> None:
    [code] = registered.glob("code/*/__init__.py")
    code.write_text(code.read_text().replace("def answer", "def reply"))
    with pytest.raises(ServingError, match="registered without `answer`"):
        load(registered, hash_tree(registered).sha256)


def test_other_packages_than_those_registered_are_named(registered: Path) -> None:
    assert other_packages(registered) == {"pytest": f"{pytest.__version__}, not 0.1"}


def test_files_that_name_no_packages(registered: Path) -> None:
    (registered / "requirements.txt").unlink()
    with pytest.raises(ServingError, match=r"requirements\.txt of the registered files cannot be read"):
        other_packages(registered)


def test_an_archive_of_the_same_files_has_the_same_bytes(registered: Path) -> None:
    first = pack(registered)
    (registered / "MLmodel").touch()
    assert pack(registered) == first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is not set"),
        ("", "is not set"),
        ("{", "JSON"),
        ('{"model": "m", "identity": "i", "sha256": "0"}', "limits: Field required"),
    ],
)
def test_an_order_that_is_not_whole(text: str | None, said: str) -> None:
    with pytest.raises(ServingError, match=said) as caught:
        read_order(text)
    assert PIPELINE_SERVE in str(caught.value)


def test_answers_are_not_held_back_for_more() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # else asyncio leaves Nagle's algorithm on


def test_a_port_that_is_taken() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServingError, match=f"127.0.0.1 port {port} cannot be listened on"):
            listen("127.0.0.1", port)
