"""Candidate lists of nearest neighbours, and exact ranks among them."""
