"""Eight floats at a time, and functions of them."""
