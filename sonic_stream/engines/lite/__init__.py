"""The embedded engine: its own weights, real time on a laptop CPU."""
