"""What the `keystead` command does, a file per group of verbs; `__main__` only parses words."""
