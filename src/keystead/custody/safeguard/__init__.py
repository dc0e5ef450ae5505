"""Safeguarding: what a vault keeps for backup clients, and the keys that it must never learn."""
