"""A pipeline whose every registered model can be traced to the code, data, parameters and records that made it."""
