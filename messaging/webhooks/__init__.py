"""Webhooks: tells the host application what happened, from what the store keeps until it has been told.

    payload    what goes out, and its signature (pure)
    lanes      when what failed is tried again (pure)
    delivery   the loop: one process at a time, by a lease

The format is that of Standard Webhooks (https://www.standardwebhooks.com): docs/protocols.md, Webhooks.
"""
