"""Every setting, declared once: a file per chapter."""
