"""Tests of the framework, which is imported where it lies: in the template."""

import sys

# What Python compiles beside the sources of the template would be baked into projects.
sys.dont_write_bytecode = True
