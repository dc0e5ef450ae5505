"""Programs of others against a running node."""
