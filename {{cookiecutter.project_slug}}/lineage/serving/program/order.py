"""What the program is told: which model it serves, by hash, and within which limits."""

from __future__ import annotations

from pydantic import ValidationError

from ...base.env import PIPELINE_SERVE
from ...base.errors import ServingError
from ...settings.section import Section
from ...settings.serving import Limits


class Order(Section):
    """The value of PIPELINE_SERVE. It is no secret: an endpoint shows it to whoever may look at its model."""

    model: str  # models:/NAME/NUMBER
    identity: str  # the model identity
    sha256: str  # of the registered files, as lineage.json and the tag artifact_sha256 have it
    limits: Limits

    @property
    def which(self) -> str:
        """As each answer names the model that gave it."""
        return f"model={self.model},identity={self.identity}"


def read_order(text: str | None) -> Order:
    """Raises ServingError if it is missing or not whole."""
    if not text:
        raise ServingError(
            f"{PIPELINE_SERVE} is not set, so it is not known which model to serve. `lineage serve X` and "
            "`lineage deploy X` set it."
        )
    try:
        return Order.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise ServingError(f"{PIPELINE_SERVE}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
