"""keystead-vault: keeps what backup clients send, and never learns a key."""
