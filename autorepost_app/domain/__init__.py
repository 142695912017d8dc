"""Decisions without I/O: what a post, a rule and a publication are, and what may happen to them."""
