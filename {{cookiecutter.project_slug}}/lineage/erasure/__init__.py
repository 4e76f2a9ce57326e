"""Erasure of subjects: what holds their bytes, deleting it, and tombstones that let everything else be proved still."""
