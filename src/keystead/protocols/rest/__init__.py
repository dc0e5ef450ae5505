"""REST for administrators: every route is derived from a declared operation."""
