"""The load test's parts: a light WebSocket client by the thousand, a feed, and what they measured."""
