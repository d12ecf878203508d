// Many real socket.io-clients in one process, for load: senders and readers of one conversation each, driven by
// scripts/chaos_harness/people.py. One JSON command per line in; out, every 10 ms, one line with all that is new:
// {<id>: {<what>: [...]}}. Times are seconds of the system's monotonic clock. The process ends with its input.
"use strict";

const { io } = require("socket.io-client");
const { createInterface } = require("node:readline");

const ANSWER_MS = 12_000; // after so long without an answer, the outcome of a send is unknown
const RETRY_MS = 100;
const people = new Map();
let news = {};

const now = () => Number(process.hrtime.bigint()) / 1e9;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function note(id, what, value = null) {
  ((news[id] ??= {})[what] ??= []).push(value);
}

function tell() {
  const told = JSON.stringify(news);
  news = {};
  if (told !== "{}") process.stdout.write(told + "\n");
}

function connect(id, { url, token, options, namespace = "/messaging" }) {
  const socket = io(url + namespace, {
    forceNew: true, auth: { token }, reconnectionDelay: 100, reconnectionDelayMax: 1000, timeout: 5000, ...options,
  });
  socket.on("connect", () => note(id, "came", socket.recovered === true));
  socket.on("connect_error", (error) => note(id, "refusals", error.message));
  socket.on("disconnect", (reason) => note(id, "went", [reason, now()]));
  return socket;
}

const connected = (socket) => socket.connected || new Promise((resolve) => socket.once("connect", resolve));
const shown = (message) => [message.clientMessageId ?? null, message.id, message.seq];

// Sends, `together` at a time, and lets nothing rest whose outcome is unknown.
class Sender {
  constructor(id, options) {
    Object.assign(this, { id, ...options, stopping: false, socket: connect(id, options) });
    this.run();
  }

  async run() {
    for (let number = 1; !this.stopping;) {
      const names = Array.from({ length: this.together }, () => `${this.name}-${number++}`);
      names.forEach((name) => note(this.id, "attempted", name));
      await this.settle(names);
      if (this.pause) await sleep(this.pause * 1000);
    }
    this.socket.disconnect();
    note(this.id, "settled");
  }

  async settle(names) {
    while (names.length) {
      await connected(this.socket);
      const acked = await Promise.all(names.map((name) => this.send(name)));
      names = names.filter((_, index) => !acked[index]);
      if (names.length) await sleep(RETRY_MS);
    }
  }

  async send(name) {
    const message = { conversationId: this.conversation, content: name.padEnd(this.size, "."), clientMessageId: name };
    const started = now();
    try {
      const ack = await this.socket.timeout(ANSWER_MS).emitWithAck("send-message", message);
      const waited = now() - started;
      if (ack.success) note(this.id, "acked", [...shown(ack.message), now(), waited]);
      else note(this.id, "refused", [ack.code, waited]);
      return ack.success;
    } catch {
      note(this.id, "unknown");
      return false;
    }
  }

  stop() {
    this.stopping = true;
  }
}

const LANGUAGES = {
  "/messaging": { join: "join-conversation", heard: "new-message", message: (told) => told },
  "/chat": { join: "conversation:join", heard: "message:new", message: (told) => told.message },
};

// Listens, and joins again with `after` when the server did not recover its connection.
class Reader {
  constructor(id, options) {
    Object.assign(this, { id, ...options, last: 0, joined: false, socket: connect(id, options) });
    this.language = LANGUAGES[this.namespace];
    this.socket.on(this.language.heard, (told) => this.see(this.language.message(told)));
    this.socket.on("conversation-history", ({ messages }) => messages.forEach((message) => this.see(message)));
    this.socket.on("connect", () => this.socket.recovered && this.joined || this.join(this.socket.id));
  }

  see(message) {
    this.last = Math.max(this.last, message.seq);
    note(this.id, "seen", [...shown(message), now()]);
  }

  async join(sid) {
    while (this.socket.id === sid) {
      const here = { conversationId: this.conversation, after: this.last };
      const ack = await this.socket.timeout(ANSWER_MS).emitWithAck(this.language.join, here).catch(() => ({}));
      if (ack.success) {
        this.joined = true;
        return note(this.id, "joined");
      }
      await sleep(RETRY_MS);
    }
  }

  // The connection breaks under the client, which then comes back by itself.
  break() {
    this.socket.io.engine.close();
  }

  stop() {
    this.socket.disconnect();
    note(this.id, "settled");
  }
}

const commands = {
  sender: (id, options) => people.set(id, new Sender(id, options)),
  reader: (id, options) => people.set(id, new Reader(id, options)),
  stop: (id) => people.get(id).stop(),
  break: (id) => people.get(id).break(),
};

setInterval(tell, 10);
const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", (line) => {
  const { op, id, ...options } = JSON.parse(line);
  commands[op](id, options);
});
lines.on("close", () => process.exit(0));
