"""How a stage runs: what dvc.yaml declares, lock, outputs, callbacks. Knows no domain and no tracker."""
