"""The log, attestations and who is trusted, as commits, branches and merges hold them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from lineage.base.errors import DamageError
from lineage.evidence.log import PATH, Compared, append, compare, read_log, text_of
from lineage.git.history import History
from lineage.proof.attestations import NAMES, attestations_of, find, standing, was_before_retirement
from lineage.proof.case import Evidence
from lineage.signing.authority import fingerprint, key_id
from lineage.signing.bundle import id_of
from lineage.signing.trust import TRUST, State, Trust, Trusted

from .certificates import Authority, key_pair, pem

CERTIFIED = {"kind": "certified", "sha256": "c" * 64}


class Place:
    """A repository with a project in it."""

    def __init__(self, root: Path, params: str) -> None:
        self.root = root
        (root / ".dvc").mkdir(parents=True)
        (root / ".dvc" / "config").write_text("")
        (root / "params.yaml").write_text(params)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit("Begin")

    def git(self, *arguments: str) -> str:
        who = {f"GIT_{one}_{what}": "t@example.org" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True, env=environment
        )
        return done.stdout.strip()

    def commit(self, message: str = "x") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def register(self, number: int) -> str:
        model = {"name": "m", "version": str(number), "identity": f"{number:064x}"}
        (self.root / "lineage.json").write_text(json.dumps({"model": model}))
        return self.commit(f"Version {number}")

    def attest(self, number: int, text: str = "signed") -> str:
        folder = self.root / "attestations" / "m" / str(number) / "0001"
        folder.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            (folder / name).write_text(text)
        return self.commit("Attest")

    def trust(self, *signers: Trusted) -> str:
        (self.root / "attestations").mkdir(exist_ok=True)
        (self.root / TRUST).write_text(Trust(signers=list(signers)).to_json())
        return self.commit("Trust")

    def update(self) -> Compared:
        """What `lineage log update` does, and a commit."""
        compared = self.compare()
        append(self.root, compared.missing)
        self.commit("Log")
        return compared

    def compare(self) -> Compared:
        return compare(Evidence(self.root))

    @property
    def history(self) -> History:
        return History(self.root)


@pytest.fixture
def place(tmp_path: Path, example_params: str) -> Place:
    return Place(tmp_path / "project", example_params)


def answers(compared: Compared) -> tuple[int, int, int]:
    """How many faults, unknowns and missing entries."""
    return len(compared.faults), len(compared.unknown), len(compared.missing)


def test_a_log_that_was_left_behind_by_a_merge_is_found(place: Place) -> None:
    """By an ordinary push: of the own log, from before the one of main, main is made one parent."""
    place.register(1)
    start = place.register(2)
    place.update()
    append(place.root, [CERTIFIED])
    place.commit("Certify")
    assert answers(place.compare()) == (0, 0, 0)
    place.git("switch", "--quiet", "--create", "own", start)
    place.update()
    place.git("merge", "--quiet", "--strategy", "ours", "--message", "Merge", "main")
    place.git("branch", "--quiet", "--force", "main", "HEAD")
    place.git("switch", "--quiet", "main")
    compared = place.compare()
    assert "1 of its 3 entries are not here" in compared.faults[0]
    # update goes on from there: nothing stays lost, and what was done is not forgotten
    assert compared.missing == [CERTIFIED]
    place.update()
    assert text_of(CERTIFIED) in read_log(place.root)
    assert (place.compare().faults, place.compare().notes) == ([], [])


def test_two_logs_that_meet_are_no_proof_whichever_is_kept(place: Place) -> None:
    start = place.register(1)
    place.attest(1)
    place.update()
    place.git("switch", "--quiet", "--create", "beside", start)
    place.register(2)
    place.update()
    place.git("switch", "--quiet", "main")
    place.git("merge", "--quiet", "--no-commit", "--strategy", "ours", "beside")
    place.git("checkout", "beside", "--", "lineage.json")
    place.commit("Merge")
    assert answers(place.compare())[0] == 1  # version 2 was in a log, and is not here
    place.update()
    compared = place.compare()
    assert answers(compared) == (0, 1, 0)
    assert "a merge brought two logs together" in compared.unknown[0]


def test_entries_that_a_commit_moved_are_a_fault(place: Place) -> None:
    place.register(1)
    place.register(2)
    place.update()
    path = place.root / PATH
    path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))
    place.commit("The other way round")
    compared = place.compare()
    assert answers(compared) == (1, 0, 0)
    assert "0 of its 2 entries are not here" in compared.faults[0]


def test_what_only_a_branch_has_does_not_get_into_the_log_of_main(place: Place) -> None:
    start = place.register(1)
    place.git("switch", "--quiet", "--create", "beside")
    place.register(2)
    place.git("switch", "--quiet", "main")
    place.update()
    assert len(read_log(place.root)) == 1
    # a tag keeps what it is on
    place.git("tag", "kept", "beside")
    assert len(place.update().missing) == 1
    # and what was in the log of another branch is no fault of this one
    place.git("switch", "--quiet", "--create", "third", start)
    place.attest(1)
    place.update()
    place.git("switch", "--quiet", "main")
    compared = place.compare()
    assert answers(compared) == (0, 0, 0)
    assert "HEAD does not come from it" in compared.notes[0]


def test_a_line_whose_branch_is_gone_proves_nothing_and_the_log_goes_on(place: Place) -> None:
    place.register(1)
    place.git("switch", "--quiet", "--create", "beside")
    place.register(2)
    place.update()
    place.git("switch", "--quiet", "main")
    place.git("checkout", "beside", "--", PATH)
    place.commit("Log")
    assert answers(place.compare()) == (0, 0, 0)  # the branch is there
    place.git("branch", "--quiet", "--delete", "--force", "beside")
    compared = place.compare()
    assert answers(compared) == (0, 1, 0)
    assert "line 2 is about something that no branch or tag here holds" in compared.unknown[0]
    place.register(3)
    assert len(place.update().missing) == 1
    assert answers(place.compare()) == (0, 1, 0)


# attestations


def test_another_branch_that_changes_an_attestation_says_nothing_about_it(place: Place) -> None:
    place.attest(1)
    place.git("switch", "--quiet", "--create", "beside")
    place.attest(1, "another")
    place.git("rm", "--quiet", "-r", "attestations")
    place.commit("Remove")
    place.git("switch", "--quiet", "main")
    found = find(place.history, "m", "1")
    assert found.latest is not None
    assert (found.latest.files["model.sig"], found.elsewhere) == (b"signed", ())
    place.git("merge", "--quiet", "beside")
    with pytest.raises(DamageError, match="attestations are only added"):
        find(place.history, "m", "1")


def test_an_attestation_that_a_merge_dropped_is_found(place: Place) -> None:
    place.git("switch", "--quiet", "--create", "beside")
    place.attest(1)
    place.git("switch", "--quiet", "main")
    assert "is not in HEAD" in find(place.history, "m", "1").elsewhere[0]
    assert attestations_of(place.history, "m", "1") == ["attestations/m/1/0001"]
    place.git("merge", "--quiet", "--strategy", "ours", "--message", "Merge", "beside")
    with pytest.raises(DamageError, match="HEAD does not have it any more"):
        find(place.history, "m", "1")


# whose signatures count


def signer(authority: Authority, state: State = "active") -> Trusted:
    return Trusted(id=fingerprint(authority.certificate), kind="authority", pem=authority.pem, state=state)


def key(of: Authority, state: State = "active") -> Trusted:
    return Trusted(id=id_of(of.key.public_key()), kind="key", pem=pem(of.key.public_key()).decode(), state=state)


def test_a_key_stays_revoked_whoever_names_it(place: Place) -> None:
    old = Authority("old")
    new = Authority("new", key=old.key)  # another certificate of the same key
    ids = {fingerprint(new.certificate), key_id(new.certificate)}
    place.trust(signer(old, "revoked"), signer(new))
    assert [each.state for each in standing(place.history, ids).signers] == ["revoked", "active"]
    place.trust(signer(new))  # the line is gone again
    assert [each.state for each in standing(place.history, ids).signers] == ["revoked", "active"]
    assert standing(place.history, {key_id(Authority("third").certificate)}).signers == ()


def test_what_a_merge_alone_has_revoked_stays_so(place: Place) -> None:
    own = Authority("own")
    place.trust(key(own))
    place.git("switch", "--quiet", "--create", "beside")
    place.register(1)
    place.git("switch", "--quiet", "main")
    place.git("merge", "--quiet", "--no-ff", "--no-commit", "beside")
    place.trust(key(own, "revoked"))
    place.trust(key(own))
    assert standing(place.history, {key(own).id}).signers[0].state == "revoked"


def test_what_another_branch_says_is_named(place: Place) -> None:
    own, other = Authority("own"), Authority("other")
    place.trust(key(own))
    place.git("switch", "--quiet", "--create", "beside")
    worse = place.trust(key(own, "retired"), key(other))
    place.git("switch", "--quiet", "main")
    found = standing(place.history, {key(own).id})
    assert ([each.state for each in found.signers], found.worse) == (["active"], worse)
    assert standing(place.history, {key(other).id}).worse == ""
    place.git("merge", "--quiet", "beside")
    before = place.git("rev-parse", "HEAD~1")
    assert was_before_retirement(place.history, [before], key(own).id)
    assert not was_before_retirement(place.history, [worse], key(own).id)


def test_a_damaged_line_still_has_its_own_id(place: Place) -> None:
    one = key_pair().public_key()
    damaged = Trusted(id=id_of(one), kind="authority", pem="none", state="revoked")
    place.trust(damaged)
    assert standing(place.history, {id_of(one)}).signers == (damaged,)
    assert standing(place.history, {"0" * 64}).signers == ()
