"""What every floor uses and none is about: errors, what a terminal may get, JSON and YAML in one meaning, downloads."""
