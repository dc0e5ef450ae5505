"""Secure modules and their cloning: rules, sealed store, file encryption and the protocol, without sockets.

Chapter: Cloning of secure modules. Source: requirements CA-001 to CA-034; docs/cloning.md.
"""
