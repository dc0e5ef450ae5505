"""KMIP 1.0 to 2.1. Rows: KS-KMIP."""
