"""Judgement: what differs between two models, whether one is better or only another, and whether it may go live."""
