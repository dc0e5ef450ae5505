"""`keystead doctor`: what is wrong with a node and what to do about it, a file per kind of check."""
