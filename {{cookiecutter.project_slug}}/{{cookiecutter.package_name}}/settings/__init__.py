"""Typed settings, read from params.yaml. Values live in conf/ only: nothing here has a default."""

from .params import Settings, flatten, load_settings, read_params, select

__all__ = ["Settings", "flatten", "load_settings", "read_params", "select"]
