"""The console: pages for administrators in a browser, drawn on the server from the declarations."""
