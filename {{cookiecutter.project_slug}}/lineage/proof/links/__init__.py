"""The links of the chain, each proved by itself: a function a link.

Nothing is believed because it was logged. What Git holds at the result commit is recomputed; MLflow and the DVC
remote are compared with it. A link that cannot be looked at raises LineageError and is then INCONCLUSIVE.
"""
