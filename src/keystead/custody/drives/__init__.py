"""Keys of PKCS#11 tokens on sets of drives."""
