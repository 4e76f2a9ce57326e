"""What a registry says of the versions in it, asked quickly: a file by SQL, a server by single requests."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ..base.errors import TrackerError
from ..git.repository import strip_user
from ..tracking.address import SQLITE
from ..tracking.check_server import PATIENCE, REST

PAGE = 1000  # versions
MISSING = 404
ALIAS = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
IDENTITY = "SELECT value FROM model_version_tags WHERE name = ? AND version = ? AND key = 'model_identity'"
TAGS = "SELECT key, value FROM registered_model_tags WHERE name = ?"
THERE = "SELECT 1 FROM model_versions WHERE name = ? AND version = ? AND current_stage != 'Deleted_Internal'"
IDENTITIES = (
    "SELECT tag.value FROM model_version_tags AS tag JOIN model_versions AS version USING (name, version) "
    "WHERE tag.key = 'model_identity' AND version.current_stage != 'Deleted_Internal'"
)


@dataclass(frozen=True)
class Named:
    """A version, and the model identity in its tags; None if it has none."""

    version: str
    identity: str | None


class FileRegistry:
    """The registry in a file of SQLite."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def named(self, model: str, alias: str) -> Named | None:
        """The version that has the alias; None if none has."""
        with closing(self._open()) as database:
            found = database.execute(ALIAS, (model, alias)).fetchone()
            if found is None:
                return None
            identity = database.execute(IDENTITY, (model, found[0])).fetchone()
        return Named(str(found[0]), identity[0] if identity else None)

    def tags(self, model: str) -> dict[str, str]:
        """The tags of a registered model; none if there is none of this name."""
        with closing(self._open()) as database:
            return {str(key): str(value) for key, value in database.execute(TAGS, (model,))}

    def version(self, model: str, number: str) -> Named | None:
        """A version by its number; None if there is none."""
        with closing(self._open()) as database:
            if database.execute(THERE, (model, int(number))).fetchone() is None:
                return None
            identity = database.execute(IDENTITY, (model, int(number))).fetchone()
        return Named(number, identity[0] if identity else None)

    def identities(self, _: str) -> set[str]:
        """The identities of the models that it has versions of."""
        with closing(self._open()) as database:
            return {str(identity) for (identity,) in database.execute(IDENTITIES)}

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)


class ServerRegistry:
    """The registry of a server. Each question raises TrackerError if it does not answer as an MLflow server does."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def named(self, model: str, alias: str) -> Named | None:
        """The version that has the alias; None if none has."""
        found = self._ask("registered-models/alias", name=model, alias=alias)
        if found is None:
            return None
        version = found["model_version"]
        return Named(str(version["version"]), _identity(version))

    def tags(self, model: str) -> dict[str, str]:
        """The tags of a registered model; none if there is none of this name."""
        found = (self._ask("registered-models/get", name=model) or {}).get("registered_model") or {}
        return {str(tag["key"]): str(tag["value"]) for tag in found.get("tags") or []}

    def version(self, model: str, number: str) -> Named | None:
        """A version by its number; None if there is none."""
        found = self._ask("model-versions/get", name=model, version=number)
        return Named(number, _identity(found["model_version"])) if found is not None else None

    def identities(self, project_id: str) -> set[str]:
        """The identities of the models that it has versions of with this project's tag."""
        found: set[str] = set()
        more: dict[str, str] = {}
        while True:
            question = {"filter": f"tags.project_id = '{project_id}'", "max_results": str(PAGE), **more}
            page = self._ask("model-versions/search", **question) or {}
            found |= {identity for version in page.get("model_versions") or [] if (identity := _identity(version))}
            if not page.get("next_page_token"):
                return found
            more = {"page_token": page["next_page_token"]}

    def _ask(self, question: str, **parameters: str) -> dict[str, Any] | None:
        from ..tracking.server import ask

        status, said = ask(self._uri, path=f"{REST}/{question}?{urlencode(parameters)}", patience=PATIENCE)
        try:
            answer = json.loads(said)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and status == MISSING and "error_code" in answer:
            return None
        if not isinstance(answer, dict) or status != 200:
            raise TrackerError(f"{strip_user(self._uri)} answers with {status} when asked for {question}.")
        return answer


def _identity(version: dict[str, Any]) -> str | None:
    return next((tag["value"] for tag in version.get("tags") or [] if tag.get("key") == "model_identity"), None)


def registry_at(uri: str) -> FileRegistry | ServerRegistry | None:
    """The registry at an absolute address; None if it is neither a file that is there nor a server."""
    if uri.startswith(SQLITE):
        path = Path(uri.removeprefix(SQLITE))
        return FileRegistry(path) if path.exists() else None
    return ServerRegistry(uri) if uri.startswith(("http://", "https://")) else None
