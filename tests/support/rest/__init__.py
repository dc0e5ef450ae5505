"""A client of the REST interface, written from its description alone."""
