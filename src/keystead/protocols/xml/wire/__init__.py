"""Elements and chunked data as bytes; knows no request and no side."""
