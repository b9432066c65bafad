"""The live avatar server: sessions, WebRTC, sources and sinks, on asyncio."""
