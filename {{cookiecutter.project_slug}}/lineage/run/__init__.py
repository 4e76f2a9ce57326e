"""What a stage runs with: what it was given, its lock, inputs and outputs, and callbacks. It knows no backend."""
