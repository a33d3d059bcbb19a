"""The fit: read rows, find neighbours, make affinities and a start, descend."""
