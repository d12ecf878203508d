"""Transports move frames: Socket.IO, plain WebSocket, HTTP. I/O only; what frames mean is the dialects'."""
