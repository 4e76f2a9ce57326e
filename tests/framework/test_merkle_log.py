"""The Merkle log: heads and proofs, by the framework and by the checker that knows nothing of it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.base.errors import DamageError, LineageError, ProjectError
from lineage.evidence import log, merkle_log
from lineage.evidence.merkle_log import Head, consistency, head_of, read_head

CHECKER = Path(log.__file__).parents[2] / "scripts" / "check_log.py"
# RFC 9162, section 2.1.5: seven leaves d0 to d6, here as Certificate Transparency's own tests have them
LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
ROOTS = {  # of the first 1 to 7 of them
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
}


@pytest.mark.parametrize(("size", "root"), ROOTS.items())
def test_roots_are_those_of_certificate_transparency(size: int, root: str) -> None:
    assert head_of(LEAVES[:size]) == Head(size, root)


def test_the_root_of_nothing() -> None:
    assert head_of([]) == Head(0, sha256().hexdigest())


@pytest.mark.parametrize("new", range(1, 18))
def test_every_beginning_is_proved_and_nothing_else(new: int) -> None:
    entries = [f"entry {number}".encode() for number in range(new)]
    whole = head_of(entries)
    for old in range(new + 1):
        before, proof = head_of(entries[:old]), consistency(entries, old)
        assert is_consistent(before, whole, proof)
        other = head_of([*entries[: old - 1], b"another"]) if old else Head(0, "0" * 64)
        assert not is_consistent(other, whole, proof)
        if proof:
            assert not is_consistent(before, whole, proof[:-1])
            assert not is_consistent(before, whole, [*proof, "0" * 64])
            assert not is_consistent(before, whole, ["0" * 64, *proof[1:]])
    assert not is_consistent(whole, head_of(entries[:-1]), [])


def is_consistent(old: Head, new: Head, proof: list[str]) -> bool:
    """What the checker says, which shares no code with the framework."""
    heads = [(head.size, head.root) for head in (old, new)]
    try:
        checker()["check_proof"]({"old": str(old), "new": str(new), "proof": proof}, *heads)
    except checker()["RefusedError"]:
        return False
    return True


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=70, unique=True), st.data())
def test_the_checker_agrees(entries: list[bytes], data: st.DataObject) -> None:
    old = data.draw(st.integers(0, len(entries)))
    heads = [(head.size, head.root) for head in (head_of(entries[:old]), head_of(entries))]
    assert checker()["root_of"](entries) == heads[1][1]
    proof = {"old": f"{old}:{heads[0][1]}", "new": f"{len(entries)}:{heads[1][1]}", "proof": consistency(entries, old)}
    assert checker()["check_proof"](proof, *heads)
    damaged = {**proof, "proof": [*proof["proof"], "0" * 64]}
    with pytest.raises(checker()["RefusedError"]):
        checker()["check_proof"](damaged, *heads)


@cache
def checker() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "checker"}
    exec(compile(CHECKER.read_text(), str(CHECKER), "exec"), names)  # noqa: S102  it is a script, in no package
    return names


def line(number: int) -> bytes:
    digest = sha256(b"%d" % number).hexdigest()
    return log.text_of({"kind": "decided", "path": f"promotions/m/champion-{number:04d}.json", "sha256": digest})


def entries(count: int) -> list[dict[str, str]]:
    return [json.loads(line(number)) for number in range(count)]


def ask_checker(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, "-I", "-S", str(CHECKER), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_kept_head_finds_what_was_rewritten(tmp_path: Path) -> None:
    kept = log.append(tmp_path, entries(5))
    head = log.append(tmp_path, entries(8)[5:])
    path, proof = tmp_path / log.PATH, tmp_path / "proof.json"
    proof.write_text(json.dumps(log.prove(log.read_log(tmp_path), kept)))
    assert ask_checker(path, kept, head)[0] == 0
    assert ask_checker(proof, kept, head)[0] == 0
    assert ask_checker(proof, kept)[0] == 0
    assert "READ: without a head that you kept" in ask_checker(path)[1]
    # one entry is another now, and everything else is as it was
    path.write_bytes(path.read_bytes().replace(line(2), line(99)))
    with pytest.raises(LineageError, match="rewritten, or this is a fork"):
        log.prove(log.read_log(tmp_path), kept)
    status, said = ask_checker(path, kept)
    assert (status, "its first 5 entries are not those of the head that you kept" in said) == (1, True)
    # a proof of the rewritten log for somebody who kept the first head
    forged = {
        "old": str(kept),
        "new": str(head_of(log.read_log(tmp_path))),
        "proof": json.loads(proof.read_text())["proof"],
    }
    proof.write_text(json.dumps(forged))
    assert ask_checker(proof, kept, forged["new"])[0] == 1
    assert ask_checker(proof, head_of([line(1)]), forged["new"])[0] == 1  # of another old head than was kept
    path.write_bytes(b"\n".join([line(0), line(1)]) + b"\n")
    assert "it was cut" in ask_checker(path, kept)[1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"kind":"decided"}', "not whole"),
        (b"\n", "is no entry"),
        (line(1) + b" \n", "not written in the one way"),
        (line(1).replace(b"decided", b"guessed") + b"\n", "no kind or no hash"),
        (line(1).replace(b'"kind"', b'"kind":"decided","kind"') + b"\n", "is there twice"),
        (b"\xff\n", "is no entry"),
        (b"[]\n", "is no entry"),
    ],
)
def test_what_is_no_entry_is_refused(tmp_path: Path, text: bytes, why: str) -> None:
    with pytest.raises(DamageError, match=why):
        log.lines_of(text)
    (tmp_path / "entries.jsonl").write_bytes(text)
    if why in ("not whole", "is no entry"):
        assert ask_checker(tmp_path / "entries.jsonl")[0] == 2


def test_nothing_is_added_twice(tmp_path: Path) -> None:
    log.append(tmp_path, entries(2))
    with pytest.raises(ProjectError, match="it is in the log already"):
        log.append(tmp_path, entries(2)[1:])


@pytest.mark.parametrize("text", ["", "5", "5:abc", f"05:{'0' * 64}", f"-1:{'0' * 64}", f"5:{'0' * 64}x"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ProjectError, match="is no head of a log"):
        read_head(text)
    assert merkle_log.HEAD.fullmatch(f"5:{'0' * 64}")
