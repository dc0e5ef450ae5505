"""Health check for load balancers and clients over plain HTTP (chapter Health Check, rows KS-HCK-001 to 005)."""
