"""keystead-module: a secure module in software. One process holds one module; commands speak to it.

Chapter: Cloning of secure modules. Source: requirements CA-001 to CA-034; docs/cloning.md.
"""
