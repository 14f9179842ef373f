"""The WebSocket side: one connection, from its handshake to its end. The only place that knows trio-websocket."""
