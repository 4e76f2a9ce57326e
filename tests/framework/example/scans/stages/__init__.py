"""One file for each stage."""
