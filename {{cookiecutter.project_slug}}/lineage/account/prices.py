"""What things in an account cost: by a small table with its date and region, or unknown. Nothing is estimated."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ..base.errors import LineageError

TABLE = Path(__file__).with_name("prices.yaml")
HOURS = 730  # of a month, as AWS counts


class Prices(BaseModel):
    """Prices of one region in US dollars; None or missing where they are not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of: str = ""  # empty if nothing is known of the region
    gibibyte_month: float | None = Field(default=None, ge=0)  # of objects in S3
    instance_hour: dict[str, float] = Field(default_factory=dict)  # of endpoints, by instance type

    def stored(self, size: int) -> float | None:
        """A month of `size` bytes in S3, without requests and old versions."""
        return None if self.gibibyte_month is None else size / 2**30 * self.gibibyte_month

    def running(self, instances: list[tuple[str, int]]) -> float | None:
        """A month of instances of an endpoint, by type and number; None if the price of one of them is not known."""
        if not instances or any(kind not in self.instance_hour for kind, _ in instances):
            return None
        return sum(self.instance_hour[kind] * count for kind, count in instances) * HOURS


def read_prices(region: str, path: Path | None = None) -> Prices:
    """The prices of a region, by this table or one at `path`. Raises LineageError if that is no table."""
    try:
        table = yaml.safe_load((path or TABLE).read_text(encoding="utf-8"))
        known = TypeAdapter(dict[str, Prices]).validate_python(table)
        if undated := [name for name, prices in known.items() if not prices.as_of]:
            raise ValueError(f"{undated[0]} has no as_of, the day of its prices.")
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise LineageError(f"{path} is no table of prices: {error} lineage/account/prices.yaml has the form.") from None
    return known.get(region, Prices())


def shown(usd: float | None) -> str:
    """An amount in words."""
    if usd is None:
        return "price unknown"
    return "nothing" if usd == 0 else "less than $0.01 a month" if usd < 0.01 else f"${usd:,.2f} a month"
