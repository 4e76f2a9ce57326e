"""How a stage runs: what dvc.yaml declares for it, its lock, its outputs, its callbacks. Knows no domain, no tracker."""
