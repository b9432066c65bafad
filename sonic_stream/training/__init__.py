"""Training of the embedded network on synthesised speech. Not needed to run the server."""
