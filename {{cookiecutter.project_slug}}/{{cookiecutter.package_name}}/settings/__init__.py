"""Typed settings, read from params.yaml. Values live in conf/ only: nothing here has a default."""

from .params import Settings, check_settings, flatten, load_settings, no_setting, read_params, select

__all__ = ["Settings", "check_settings", "flatten", "load_settings", "no_setting", "read_params", "select"]
