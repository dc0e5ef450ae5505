"""The XML interface: elements over TLS, to the same keys as KMIP (docs/xml-interface.md). Rows: KS-NAE."""
