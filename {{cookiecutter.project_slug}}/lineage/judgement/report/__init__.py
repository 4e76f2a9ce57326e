"""What a change does to the model, as one page of Markdown: the comment of a pull request."""
