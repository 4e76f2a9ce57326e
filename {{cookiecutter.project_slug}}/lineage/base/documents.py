"""Documents that others may have written or changed, in a form that pydantic knows."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from . import strict_json
from .errors import DamageError

Form = TypeVar("Form", bound=BaseModel)


def read_as(form: type[Form], data: bytes) -> Form:
    """The document. Raises DamageError, which says where its first fault is, if it has another form."""
    try:
        return form.model_validate(strict_json.parse(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DamageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as error:
        raise DamageError(str(error).splitlines()[0][:200]) from None
