"""The parts of the built-in neighbour search."""
