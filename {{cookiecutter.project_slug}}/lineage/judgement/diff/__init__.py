"""What differs between two models, commits or the workspace: `lineage diff A B`.

`difference.difference` returns the answer as data, a section for each subject; the other files show it.
"""
