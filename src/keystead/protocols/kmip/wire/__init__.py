"""KMIP's bytes, pure and role-neutral: server, clients, tests and fuzzers share this codec. No sockets, no clock.

`ttlv` is the reference: bytes to a tree of `nodes` and back. `framing` cuts a stream into messages. `shapes` (kept by
`shape_cache`) and `templates` read and write often used messages without a tree, with the same result. `names` knows
tags and enumerations and which version has them; its tables are generated (tools/make_kmip_tables.py).
"""
