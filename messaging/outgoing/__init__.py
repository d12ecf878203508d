"""Outgoing: requests that this service makes by itself, to addresses that somebody else gave it.

Whoever may name a target could have this machine ask where they cannot reach themselves (server-side request
forgery). So there is one way out, which connects to public addresses only unless an operator allowed more,
follows no redirects, and bounds time and size. It knows nothing of what is said.
"""
