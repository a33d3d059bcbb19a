"""One optimization step, and the order of the points in memory."""
