"""Where a session's media goes."""
