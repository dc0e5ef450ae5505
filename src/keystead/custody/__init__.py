"""Custody of keys that belong to others: people, drives, backup clients."""
