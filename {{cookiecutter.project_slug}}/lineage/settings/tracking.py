"""Typed settings of where runs and models are kept."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from .section import Section


class Tracking(Section):
    uri: str
    experiment: Annotated[str, Field(min_length=1)]
    model_name: Annotated[str, Field(min_length=1, pattern=r"""^[^/:.%'"]+$""")]  # as MLflow wants it
    candidate_branches: list[Annotated[str, Field(min_length=1)]] | None  # as shells match; None: the default branch

    @field_validator("uri")
    @classmethod
    def _can_be_kept_and_asked(cls, uri: str) -> str:
        after_scheme = uri.partition("://")[2]
        secret = "@" in after_scheme or re.search(
            r"(password|passwd|pwd|token|secret|key)=", after_scheme, re.IGNORECASE
        )
        if uri.startswith("sqlite+"):
            raise ValueError("must begin with sqlite:/// where it is a SQLite file")
        if secret and not uri.startswith("sqlite:"):
            raise ValueError(
                "must not hold a user or password: params.yaml is kept in Git. "
                "MLflow reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD from the environment"
            )
        try:
            address = urlsplit(uri)
            _ = address.port
        except ValueError as error:
            raise ValueError(f"is no address ({error})") from None
        if address.scheme == "file" or not (address.scheme or uri == "databricks"):
            raise ValueError("must be sqlite:///FILE, the address of a server, or an ARN: MLflow keeps no more folders")
        return uri
