"""The machine around the node: what the operating system is asked for."""
