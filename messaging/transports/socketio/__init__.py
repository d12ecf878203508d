"""Socket.IO: our subclasses of python-socketio and python-engineio, the only place that knows their insides.

engine.py     Engine.IO over HTTP: requests, handshakes            (engineio.AsyncServer)
socket.py     one Engine.IO connection: write, ping, close         (engineio.AsyncSocket)
polling.py    its long-polling half          websocket.py   its WebSocket half
elsewhere.py  requests whose session lives in another process: asking.py, answering.py, letters.py
packets.py    the packets of both protocols, strictly read         (pure)
server.py     Socket.IO: namespaces, sign-in, events, acks         (socketio.AsyncServer)
namespace.py  what a namespace is to the server; one client's place in it
manager.py    rooms; what other programs emit through Redis        (socketio.AsyncRedisManager)
wire.py       dialects in Socket.IO packets  gateway.py     the namespaces of our gateway
factory.py    puts them together
"""
