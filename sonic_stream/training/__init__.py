"""Training of the embedded network. Not needed to run the server."""
