"""Records: where they come from, which are used, which split they are in, and how a dataset version is written."""
