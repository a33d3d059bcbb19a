"""Neighbour searches of other packages; each is an optional extra."""
