// One real WebSocket client (npm `ws`), driven by tests: `node websocket.js <url> [<subprotocol>...]`, with the HTTP
// headers of the variable HEADERS. Each JSON line of standard input is sent as it is, `close` says goodbye; all that
// the client sees is one JSON line of output.
"use strict";

const WebSocket = require("ws");
const { createInterface } = require("node:readline");

const [url, ...protocols] = process.argv.slice(2);
const tell = (kind, fields = {}) => process.stdout.write(JSON.stringify({ kind, ...fields }) + "\n");

const socket = new WebSocket(url, protocols, { headers: JSON.parse(process.env.HEADERS ?? "{}") });
socket.on("open", () => tell("open", { protocol: socket.protocol, extensions: socket.extensions }));
socket.on("message", (data) => tell("message", { frame: JSON.parse(data) }));
socket.on("ping", (data) => tell("ping", { data: data.toString() }));
socket.on("unexpected-response", (_request, response) => tell("refused", { status: response.statusCode }));
socket.on("error", (error) => tell("error", { message: error.message }));
socket.on("close", (code, reason) => tell("close", { code, reason: reason.toString() }));

const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", (line) => (JSON.parse(line) === "close" ? socket.close() : socket.send(line)));
lines.on("close", () => process.exit(0));
