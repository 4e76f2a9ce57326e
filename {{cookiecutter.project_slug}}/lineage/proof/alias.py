"""Gives the alias `candidate` to the model of this checkout, where its branch may and its commit is the newest."""

from __future__ import annotations

from ..dvc.dvcfile import PARAMS_FILE
from ..settings import load_settings
from ..tracking.candidate import ALIAS, MOVED_FOR, MOVED_TO, why_not_here
from .case import Evidence
from .together import last_result, mixed_parts


def move_candidate(evidence: Evidence) -> str:
    """Moves the alias to the version that the last commit holds, once for each result. Returns what a person should
    know, if anything.

    Where somebody has set it otherwise since, or another clone has moved it for a commit that is newer or not here, it
    stays.
    """
    history, tracking = evidence.history, load_settings(evidence.root / PARAMS_FILE).tracking
    if why_not_here(evidence.root, tracking):
        return ""
    commit, identity = last_result(history), history.at("HEAD").recorded.identity
    if commit is None or identity is None:
        return ""
    name, store = tracking.model_name, evidence.store
    mine = [v for v in store.versions if v.name == name and v.tags.get("model_identity") == identity]
    if not mine or mixed_parts(history, commit):
        return ""
    version, pointed = mine[0].version, store.version_by_alias(name, ALIAS)
    with store.asked(f"move the alias {ALIAS} of {name}"):
        moved = store.client.get_registered_model(name).tags
        before = moved.get(MOVED_FOR)
        if before == commit or moved.get(MOVED_TO) == identity:
            return ""
        newest = before or (pointed and pointed.tags.get("result_git_commit_id"))
        if newest and str(pointed and pointed.version) != str(version):
            if history.resolve(newest) is None:
                return f"the alias {ALIAS} stays: it is of {newest[:12]}, which is not in this clone (`git pull`)."
            if history.git.run("merge-base", "--is-ancestor", newest, "HEAD") is None:
                return f"the alias {ALIAS} stays: it is of {newest[:12]}, which this branch does not hold."
        store.client.set_registered_model_tag(name, MOVED_FOR, commit)
        store.client.set_registered_model_tag(name, MOVED_TO, identity)
        if pointed is not None and str(pointed.version) == str(version):
            return ""
        store.client.set_registered_model_alias(name, ALIAS, str(version))
    return f"the alias {ALIAS} points to models:/{name}/{version} now."
