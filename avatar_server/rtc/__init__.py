"""WebRTC on aiortc: receive buffer, pre-encoded tracks, peer connections."""
