// Real socket.io-clients, driven by tests/clients.py: one JSON command per line in, one JSON line out for all that
// a client sees. The process ends with its standard input, so it never outlives the test.
"use strict";

const { io } = require("socket.io-client");
const { createInterface } = require("node:readline");

const sockets = new Map();

const tell = (client, kind, fields = {}) => process.stdout.write(JSON.stringify({ client, kind, ...fields }) + "\n");

// What JSON cannot hold: {"$bytes": "<base64>"}.
const revive = (_key, value) => (typeof value?.$bytes === "string" ? Buffer.from(value.$bytes, "base64") : value);

const transportOf = (socket) => socket.io.engine?.transport?.name;

function watchTransport(client, manager) {
  manager.on("open", () => manager.engine.on("upgrade", (transport) => tell(client, "upgrade", { transport: transport.name })));
  for (const name of ["reconnect_attempt", "reconnect_failed"]) {
    manager.on(name, (attempt) => tell(client, name, { attempt }));
  }
}

const commands = {
  connect({ client, url, namespace, options }) {
    // A connection of its own, as a client in another process would have; `forceNew: false` shares one.
    const socket = io(url + namespace, { forceNew: true, autoConnect: false, ...options });
    sockets.set(client, socket);
    watchTransport(client, socket.io);
    socket.on("connect", () =>
      tell(client, "connect", { sid: socket.id, recovered: socket.recovered === true, transport: transportOf(socket) }));
    socket.on("connect_error", (error) => tell(client, "connect_error", { message: error.message, data: error.data }));
    socket.on("disconnect", (reason) => tell(client, "disconnect", { reason }));
    // Answers at once when the server asks for an acknowledgement.
    socket.onAny((name, ...args) => {
      const acknowledge = typeof args.at(-1) === "function" ? args.pop() : null;
      tell(client, "event", { name, args });
      if (acknowledge) acknowledge({ received: name });
    });
    socket.connect();
  },
  emit({ client, event, args = [], ack, ref, timeout = 10_000 }) {
    const socket = sockets.get(client);
    if (!ack) return socket.emit(event, ...args);
    socket.timeout(timeout).emit(event, ...args, (error, ...answer) =>
      tell(client, "ack", error ? { ref, error: error.message } : { ref, args: answer }));
  },
  auth: ({ client, auth }) => { sockets.get(client).auth = auth; },
  // Sign out as an application does; `open` comes back on the same socket object.
  disconnect: ({ client }) => sockets.get(client).disconnect(),
  open: ({ client }) => sockets.get(client).connect(),
  // The connection breaks under the client, which then comes back by itself.
  disconnect_transport: ({ client }) => sockets.get(client).io.engine.close(),
  close({ client }) {
    sockets.get(client).disconnect();
    sockets.delete(client);
  },
};

const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", (line) => {
  const command = JSON.parse(line, revive);
  try {
    commands[command.op](command);
  } catch (error) {
    tell(command.client, "failed", { message: `${command.op}: ${error.message}` });
  }
});
lines.on("close", () => process.exit(0));
