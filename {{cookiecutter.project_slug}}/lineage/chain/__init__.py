"""The chain of a model: what its links are called, what is known of them, and the document that holds it."""
