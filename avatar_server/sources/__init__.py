"""Where a session's voice comes from."""
