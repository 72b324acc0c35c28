"""A venue simulator: one loopback server that speaks both venues' public HTTP and WebSocket APIs and plays a tape."""
