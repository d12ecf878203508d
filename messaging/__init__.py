"""A realtime messaging service: one set of conversations behind five protocols and REST.

A module imports from its own folder and from lower floors only (tests/test_architecture.py).

    6  cli, app, settings, __main__   arguments; the only place where the parts meet; the environment
    6  serving, supervisor            the life of a process; the parent of several
    5  transports/                    I/O only: Socket.IO, WebSocket, REST
    4  gateway/                       the clients of this process: sessions, outboxes, the hub
    3  dialects/                      one pure file per wire language
    3  stores/, backplanes/           what keeps; what carries between processes
    3  tokens                         JSON Web Tokens → Identity
    2  service/                       one async function per command: load, permit, decide, keep, tell
    1  domain/                        ids, models, permissions, commands, events, errors; stdlib only
"""

__version__ = "0.1.0"
