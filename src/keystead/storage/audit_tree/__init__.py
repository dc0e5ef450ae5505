"""The audit tree: the audit leaves of both stores as one append-only Merkle tree of files, with signed checkpoints.

Law: what a published checkpoint covers never changes; whatever lies beyond the last one is cut and written anew.

Source: C2SP tlog-tiles; docs/adr/0060-audit-tree.md; requirements KS-LOG-010, 011, 033; attacks.md class 31.
"""
