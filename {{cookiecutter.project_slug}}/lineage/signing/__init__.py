"""Signed statements about a model: what they say, by which key. Checked with nothing but `cryptography`."""
