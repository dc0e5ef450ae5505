"""How it is asked: every protocol is wire (bytes, pure), translate (tables), session (one connection, no sockets)."""
