"""keystead-coordinator: relays the cloning of secure modules and can read none of it.

Chapter: Cloning of secure modules. Source: requirements CA-001 to CA-034; docs/cloning.md.
"""
