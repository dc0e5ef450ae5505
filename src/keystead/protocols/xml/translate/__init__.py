"""From elements to operations' requests, and from their results to elements; one table of requests."""
