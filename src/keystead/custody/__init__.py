"""Keys that leave and return: cloned secure modules, drive sets, safeguarded keys of backup clients.

Law: what leaves, leaves in an envelope (keystead.trust.envelope).
"""
