"""Programs that run elsewhere than the node."""
