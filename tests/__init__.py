"""Tests: mirror messaging/, state facts, and use real servers and clients instead of mocks."""
