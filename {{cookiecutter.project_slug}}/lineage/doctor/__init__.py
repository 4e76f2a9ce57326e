"""The checks of `lineage doctor` that take more than a screen: one file for each subject."""
