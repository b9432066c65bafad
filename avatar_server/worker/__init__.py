"""The worker process: engine and encoder together, packets out."""
