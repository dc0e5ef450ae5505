"""What the node counts about itself, for monitoring systems that fetch it over plain HTTP on loopback."""
