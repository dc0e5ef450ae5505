"""Custody: how keys and secrets leave, travel and return outside of the store."""
