"""Typed settings, read from params.yaml. Values live in conf/ only: nothing here has a default."""

from .faults import no_setting
from .params import Settings, check_settings, flatten, load_settings, read_params, select

__all__ = ["Settings", "check_settings", "flatten", "load_settings", "no_setting", "read_params", "select"]
