"""Deleting objects of DVC that nothing needs: `lineage gc`."""
