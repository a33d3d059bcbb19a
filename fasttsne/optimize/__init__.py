"""A run: its parameters, its plan, and the loop that carries it out."""
