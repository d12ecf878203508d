"""The clients of this process: sessions, and the hub that tells them what happened."""
