"""Builds one node from its parts, starts and stops it; the only package that knows every folder."""
