"""Evidence that others can check, in the forms that they know: exports in the words of standards."""
