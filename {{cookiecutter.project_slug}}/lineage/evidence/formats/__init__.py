"""One standard a module: `Facts` in, a document out. What is not known is left out, or said to be unknown."""
