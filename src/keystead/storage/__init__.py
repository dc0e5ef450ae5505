"""Stores: authenticated records, sealed materials, journal and audit leaves behind one contract (store.py).

Law: a store is not trusted. Whatever comes out of one is authenticated first; index rows are only hints.
"""
