"""Points as pixels."""
