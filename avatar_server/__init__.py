"""The live avatar server: sessions, WebRTC, sources and sinks, on asyncio."""

__version__ = "0.1.0"
