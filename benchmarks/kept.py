"""A copy of a project whose cache and last commit have what a benchmark brings."""

import hashlib
import json
import os
import shutil
import subprocess
import sys


class Kept:
    """A copy of the project in a folder of its own, with its own cache, remote and store."""

    def __init__(self, project, folder):
        self.root = folder / project.name
        if not self.root.exists():
            leave = shutil.ignore_patterns(".venv", "mlartifacts", "mlflow.db", "cache", "tmp", "hooks")
            shutil.copytree(project, self.root, ignore=leave)
        if str(project) not in sys.path:
            sys.path.insert(0, str(project))

    def use(self, url):
        """Makes another place the DVC remote."""
        use(self.root, url)

    def place(self, md5):
        """Where the cache has an object."""
        target = self.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def commit_dataset(self, processed):
        """Brings a dataset version into the cache, without a copy, and commits that preprocess made it.

        Returns its hash.
        """
        from lineage.dvc.hashes import hash_path, listing

        content = hash_path(processed)
        for file in content.files:
            if not self.place(file.md5).exists():
                os.link(processed / file.path, self.place(file.md5))
        self.place(content.md5).write_bytes(listing({file.path: file.md5 for file in content.files}))
        self.commit("preprocess", "data/processed", content.md5)
        return content.md5

    def commit(self, stage, path, md5):
        """Commits a dvc.lock in which this stage alone has an output."""
        self.commit_lock({stage: {"cmd": stage, "outs": [{"path": path, "hash": "md5", "md5": md5}]}})

    def commit_model(self, dataset):
        """Commits that a model was trained with a dataset version: files of a few bytes, which nothing reads."""
        from lineage.dvc.hashes import sha256_of_json

        made = [self._small("models/model.safetensors"), self._small("models/run.json")]
        out = {"path": "data/processed", "hash": "md5", "md5": dataset}
        lock = {
            "preprocess": {"cmd": "preprocess", "outs": [out]},
            "train": {"cmd": "train", "deps": [out], "outs": made},
        }
        document = {
            "model": {"identity": sha256_of_json(lock["train"]), "md5": made[0]["md5"]},
            "training_run": {"tracking_uri": "sqlite:///mlflow.db"},
            "dataset": {"md5": dataset},
        }
        (self.root / "lineage.json").write_text(json.dumps(document))
        self.commit_lock(lock)

    def commit_lock(self, stages):
        (self.root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))
        git(self.root, "commit", "--quiet", "--all", "--message", ", ".join(stages))

    def _small(self, path):
        md5 = hashlib.md5(path.encode()).hexdigest()
        self.place(md5).write_text(path)
        return {"path": path, "hash": "md5", "md5": md5}


def use(root, url):
    """Makes another place the DVC remote of a project."""
    (root / ".dvc" / "config.local").write_text(f"['remote \"storage\"']\n    url = {url}\n")


def git(root, *arguments):
    identity = ["-c", "user.name=B", "-c", "user.email=b@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True)
