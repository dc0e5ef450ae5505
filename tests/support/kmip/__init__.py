"""A KMIP client of the rigs' own: a few requests and a strict reading of replies, sharing no code with the server."""
