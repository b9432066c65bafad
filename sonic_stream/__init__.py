"""Streaming inference of talking portraits: audio and an identity in, frames out.

No asyncio, no sockets, no clocks: `avatar_server` brings those.
"""
