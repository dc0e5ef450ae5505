"""Keys leaving and returning."""
