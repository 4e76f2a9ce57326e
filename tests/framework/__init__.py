"""Tests of the framework, which is imported where it lies: in the template."""
