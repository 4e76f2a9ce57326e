"""What an id may look like, of a record and of a subject."""

from __future__ import annotations

from typing import Any

NOBODY = " (where there is no subject, write the record_id)"
LOST = " (a number has lost its leading zeros)"


def fault_of_id(value: Any, name: str) -> str | None:
    """What is wrong with `value` as an id, as a phrase about `name`; None if nothing is.

    Slashes, quotes and letters of any script are fine. What cannot be seen, or would break a line of a list, is not.
    """
    if value is None or value == "":
        return f"an empty {name}{NOBODY if name == 'subject_id' else ''}"
    if not isinstance(value, str):
        return f"a {name} that is no text{LOST if isinstance(value, int) else ''}"
    if "\0" in value or value != value.strip() or len(value.splitlines()) > 1:
        return f"a {name} with a NUL, a line break or blanks around it"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"a {name} that is no valid text"
    return None
