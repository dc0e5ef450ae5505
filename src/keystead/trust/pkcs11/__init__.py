"""A PKCS#11 token as root of trust: the module's library runs in a process of its own."""
