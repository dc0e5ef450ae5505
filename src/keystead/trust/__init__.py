"""Root of trust: security modules, role tokens, node key, sealed material, ciphers, certificates, self-tests."""
