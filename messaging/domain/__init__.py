"""What the service talks about: ids, models, permissions, commands, replies, events, errors.

Pure data and pure functions on the standard library. Nothing in here waits, reads a clock or knows
that there is a network, a database or a wire format.
"""
