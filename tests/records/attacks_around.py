"""Attacks at random on what lies around two models: notes, DVC's run-cache, the workspace, refs.

None of these takes anything from a committed version that its proof rests on, but where it is said so. They come alone,
or after an attack on the versions themselves, which they must not hide.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random

import yaml
from attacks import Attack, Target, damaged
from consent import FIRST, SECOND
from damage import OF_A_FILE, flip, overwrite

DIGITS = "0123456789abcdef"
#: what answers about committed versions do not look at; of the rest, settings say which project and store are asked
IDLE = ("conf", "data", "metrics", "models", "plots", "lineage", "traceable_digits")
SETTLED = ("params.yaml", "dvc.lock", "lineage.json", "dvc.yaml", "requirements.lock", "consent.csv")


def spoil_notes(target: Target, chance: random.Random) -> Attack:
    """What answers keep from one time to the next: it may speed them up, and must not make them wrong."""
    kept = target.project.root / ".dvc" / "tmp" / "kept"
    path = chance.choice([path for path in sorted(kept.rglob("*")) if path.is_file()])
    kind = chance.choice(sorted(OF_A_FILE))
    damaged(kind, path, target.project.root / "dvc.lock")
    return Attack(f"notes {path.name} {kind}", harmless=True)


def sign_notes(target: Target, chance: random.Random) -> Attack:
    """A manifest that was changed, and notes that it is the right one, in their own form and with another key."""
    md5 = target.manifests[SECOND]
    path = target.project.cached(md5)
    overwrite(path, flip(path.read_bytes()))
    if chance.random() < 0.5:
        target.project.object(md5).unlink()
    else:
        overwrite(target.project.object(md5), path.read_bytes())
    dataset = target.locks[SECOND]["preprocess"]["outs"][0]["md5"]
    stat = path.stat()
    state = (path.absolute(), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    name = hashlib.sha256(repr(state).encode()).hexdigest()
    secret = chance.choice((b"", bytes(32), chance.randbytes(32)))

    def signed(*parts: str) -> str:
        text = "".join(f"{len(part)}:{part}" for part in parts)
        return hmac.digest(secret, text.encode(), "sha256").hex()[:32]

    kept = target.project.root / ".dvc" / "tmp" / "kept" / "audit"
    (kept / "hashes.json").write_text(json.dumps({name: f"{md5}:{signed('md5', name, md5)}"}))
    agrees = "its manifest and its statistics agree with its shards"
    (kept / "agreeing.json").write_text(json.dumps({dataset: signed(agrees, dataset)}))
    lost = target.resting_on(md5)
    return Attack("the manifest changed, and notes signed with another key", lost, loses=lost)


def damage_run_cache(target: Target, chance: random.Random) -> Attack:
    """An entry of DVC's run-cache, here or in the remote: no model rests on it."""
    place = chance.choice((target.project.root / ".dvc" / "cache", target.project.remote))
    entries = sorted(path for path in (place / "runs").rglob("*") if path.is_file())
    path, other = chance.sample(entries, 2)
    kind = chance.choice((*sorted(OF_A_FILE), "exchanged", "a digit"))
    if kind == "exchanged":
        before = path.read_bytes()
        overwrite(path, other.read_bytes())
        overwrite(other, before)
    elif kind == "a digit":
        overwrite(path, one_digit(path.read_text(), chance).encode())
    else:
        damaged(kind, path, other)
    return Attack(f"run-cache {path.name[:8]} in {place.name} {kind}", harmless=True)


def use_run_cache(target: Target, _: random.Random) -> Attack:
    """Weights of version 1 in the run-cache as those of the training of version 2, taken by `dvc repro`, committed.

    The commit holds a model that nobody trained, with the weights that know OUT, made after the opt-out.
    """
    root = target.project.root
    trained = target.locks[SECOND]["train"]
    for path in sorted((root / ".dvc" / "cache" / "runs").rglob("*")):
        entry = yaml.safe_load(path.read_text()) if path.is_file() else {}
        if entry.get("outs") == trained["outs"]:
            entry["outs"] = target.locks[FIRST]["train"]["outs"]
            overwrite(path, yaml.safe_dump(entry, sort_keys=False).encode())
    lock = yaml.safe_load((root / "dvc.lock").read_text())
    del lock["stages"]["train"]  # as on a branch that has not trained yet
    (root / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    target.project.dvc("repro", "--quiet", "--single-item", "train")
    target.project.commit("From the run-cache")
    taken = yaml.safe_load((root / "dvc.lock").read_text())["stages"]["train"]["outs"]
    assert taken == target.locks[FIRST]["train"]["outs"]
    return Attack("weights of version 1 taken from the run-cache", adds_out=True)


def change_workspace(target: Target, chance: random.Random) -> Attack:
    """A file of the workspace, and nothing is committed."""
    root = target.project.root
    name = chance.choice((*IDLE, *SETTLED))
    path = root / name
    if path.is_dir():
        path = chance.choice([file for file in sorted(path.rglob("*")) if file.is_file() and file.suffix != ".pyc"])
    kind = chance.choice((*sorted(OF_A_FILE), "a digit", "as in version 1"))
    place = str(path.relative_to(root))
    if kind == "a digit" and path.suffix in (".yaml", ".json", ".lock", ".py", ".csv"):
        overwrite(path, one_digit(path.read_text(), chance).encode())
    elif kind in ("a digit", "as in version 1"):
        kind = "as in version 1"
        overwrite(path, _as_in_version_1(target, place))
    else:
        damaged(kind, path, root / "README.md")
    return Attack(f"{place} of the workspace {kind}", harmless=name in IDLE)


def _as_in_version_1(target: Target, place: str) -> bytes:
    md5 = target.files[FIRST].get(place)
    if md5 is not None:
        return target.project.object(md5).read_bytes()
    listed = target.project.git("ls-tree", "--name-only", target.commits[FIRST], place)
    return target.project.git("show", f"{target.commits[FIRST]}:{place}").encode() + b"\n" if listed else b""


def one_digit(text: str, chance: random.Random) -> str:
    """The text with another hexadecimal digit somewhere."""
    places = [index for index, char in enumerate(text) if char in DIGITS[:10]]
    if not places:
        return f"{text}0"
    at = chance.choice(places)
    return text[:at] + chance.choice(DIGITS[:10].replace(text[at], "")) + text[at + 1 :]


def hide_a_model(target: Target, chance: random.Random) -> Attack:
    """A model that was trained with OUT after the opt-out, and is to be found in one place alone."""
    project = target.project
    trained = target.project.git("show", f"{target.commits[FIRST]}:dvc.lock")
    made = [target.files[FIRST][path] for path in ("models/model.safetensors", "models/run.json")]
    for md5 in chance.choice((made[:1], made)):
        trained = trained.replace(md5, f"{chance.getrandbits(128):032x}")
    where = chance.choice(("dvc.lock here", "stash", "reflog", "experiment", "tag", "branch", "notes", "remote branch"))
    (project.root / "dvc.lock").write_text(f"{trained}\n")
    if where == "stash":
        project.git("stash", "push", "--quiet", "--", "dvc.lock")
    elif where != "dvc.lock here":
        base = project.git("rev-parse", "HEAD")
        project.git("commit", "--quiet", "--message", "Trial", "--", "dvc.lock")
        commit = project.git("rev-parse", "HEAD")
        project.git("reset", "--quiet", base)
        project.git("checkout", "--quiet", "--", "dvc.lock")  # and nothing else: another attack may have been there
        refs = {
            "experiment": f"refs/exps/{base[:2]}/{base[2:]}/odd-trial",
            "tag": "refs/tags/trial",
            "branch": "refs/heads/trial",
            "notes": "refs/notes/trial",
            "remote branch": "refs/remotes/gone/trial",
        }
        if where in refs:
            project.git("update-ref", refs[where], commit)
            project.git("update-ref", "-d", "ORIG_HEAD")
            project.git("reflog", "expire", "--expire=now", "--all")
    return Attack(f"a model with {where} alone", adds_out=True)


def move_refs(target: Target, chance: random.Random) -> Attack:
    """Refs that move or go. Without the branch, no ref leads to version 2."""
    project = target.project
    what = chance.choice(("reflog cut", "tag moved", "HEAD moved", "branch removed", "branch and reflog removed"))
    if what == "reflog cut":
        project.git("reflog", "expire", "--expire=now", "--all")
    elif what == "tag moved":
        project.git("tag", "two", "HEAD")
        project.git("tag", "--force", "two", "HEAD~1")
    else:
        project.git("checkout", "--quiet", "--force", "--detach", "HEAD~1")
        if what != "HEAD moved":
            project.git("branch", "--quiet", "--delete", "--force", "main")
        if what == "branch and reflog removed":
            project.git("reflog", "expire", "--expire=now", "--all")
            project.git("gc", "--quiet", "--prune=now")
    gone = "removed" in what
    return Attack(what, frozenset({SECOND}) if gone else frozenset(), harmless=not gone)


AROUND = (spoil_notes, damage_run_cache, change_workspace, hide_a_model)  # these may follow an attack on versions
ALONE = (sign_notes, use_run_cache, move_refs)
ATTACKS_AROUND = (*AROUND, *ALONE)
