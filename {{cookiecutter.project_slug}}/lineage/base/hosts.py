"""The machines that do the work of one stage together. Nearly always it is this one alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hosts:
    """How many there are, and which of them this one is. Each runs the same stage; the first one has what comes out."""

    count: int = 1
    number: int = 0  # of this one, from 0
    first: str = "127.0.0.1"  # where the first one is reached by the others
    port: int = 0  # and at which port; 0 takes any that is free, where there are no others
    interface: str | None = None  # the network between them, by the name that it has here

    @property
    def is_first(self) -> bool:
        """Whether this one reports, and puts outputs in place."""
        return self.number == 0
