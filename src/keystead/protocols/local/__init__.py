"""The local door: operations over a Unix socket for root and the node's own account.

It exists before any other door of administrators (design.md section 6, "first door"). One request per frame: four
bytes of length, then a CBOR map {"operation", "fields", "as", "approvals": [[name, password], …]}; the answer is
{"result"} or {"error", "message"}.
"""
