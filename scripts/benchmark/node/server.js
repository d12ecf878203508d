// The gateway that the benchmark compares with: Socket.IO 4.8 and the MongoDB driver, written as well as a
// good Node developer would: the payload of an event is encoded once per room by the adapter, sockets are
// plain `ws` without compression, membership is cached, nothing on the way is written or read twice.
"use strict";

const http = require("node:http");
const jwt = require("jsonwebtoken");
const { MongoClient } = require("mongodb");
const { Server } = require("socket.io");

const { PORT, JWT_SECRET, MONGODB_URI } = process.env;
const MEMBERSHIP_SECONDS = 60;
const MAX_MESSAGE_LENGTH = 4000;
const DUPLICATE_KEY = 11000;

const client = new MongoClient(MONGODB_URI, { writeConcern: { w: "majority", journal: true } });
const db = client.db();
const [conversations, members, messages] = ["conversations", "members", "messages"].map((name) =>
  db.collection(name),
);

// --- who may speak where ---

const seats = new Map(); // "conversation user" -> { allowed: Promise<boolean>, until }

async function isAllowed(conversationId, userId) {
  const conversation = await conversations.findOne({ _id: conversationId });
  if (conversation === null) return false;
  return conversation.public || (await members.findOne({ conversationId, userId })) !== null;
}

function allowed(conversationId, userId) {
  const key = `${conversationId} ${userId}`;
  const known = seats.get(key);
  if (known !== undefined && known.until > Date.now()) return known.allowed;
  const seat = { allowed: isAllowed(conversationId, userId), until: Date.now() + MEMBERSHIP_SECONDS * 1000 };
  seat.allowed.catch(() => seats.delete(key));
  seats.set(key, seat);
  return seat.allowed;
}

// --- the order in a conversation ---

// A counter per conversation in memory, read once from the database, under a unique index: one write per
// message and no round trip before it. Who clashes with another process reads the counter again.
const counters = new Map(); // conversation -> Promise<{ last }>

async function readCounter(conversationId) {
  const newest = await messages.findOne({ conversationId }, { sort: { seq: -1 }, projection: { seq: 1 } });
  return { last: newest === null ? 0 : newest.seq };
}

function counter(conversationId) {
  let known = counters.get(conversationId);
  if (known === undefined) {
    known = readCounter(conversationId);
    known.catch(() => counters.delete(conversationId));
    counters.set(conversationId, known);
  }
  return known;
}

async function store(message) {
  for (;;) {
    const count = await counter(message.conversationId);
    message.seq = ++count.last;
    try {
      await messages.insertOne(message);
      return;
    } catch (error) {
      if (error.code !== DUPLICATE_KEY) throw error;
      counters.delete(message.conversationId);
      delete message._id;
    }
  }
}

// --- what clients see ---

function shown({ _id, ...message }) {
  message.id = _id.toHexString();
  return message;
}

function invalid(text) {
  return Object.assign(new Error(text), { code: "INVALID_FORMAT" });
}

function conversationOf(payload) {
  if (typeof payload !== "object" || payload === null) throw invalid("the payload must be an object");
  const { conversationId } = payload;
  if (typeof conversationId !== "string" || conversationId.length < 1 || conversationId.length > 128) {
    throw invalid("conversationId must be a string of 1 to 128 characters");
  }
  return conversationId;
}

function contentOf({ content, attachments, clientMessageId }) {
  if (typeof content !== "string" || content.trim() === "") throw invalid("content must not be empty");
  if (content.length > MAX_MESSAGE_LENGTH) throw invalid("content is too long");
  if (attachments !== undefined && !Array.isArray(attachments)) throw invalid("attachments must be a list");
  if (clientMessageId !== undefined && typeof clientMessageId !== "string") {
    throw invalid("clientMessageId must be a string");
  }
  return content;
}

function limitOf({ limit = 50 }) {
  if (!Number.isInteger(limit)) throw invalid("limit must be a whole number");
  return Math.min(Math.max(limit, 1), 200);
}

async function permit(conversationId, socket) {
  if (!(await allowed(conversationId, socket.data.user.id))) {
    throw Object.assign(new Error("no such conversation"), { code: "ROOM_NOT_FOUND" });
  }
}

// --- commands ---

async function joinConversation(socket, payload) {
  const conversationId = conversationOf(payload);
  const limit = limitOf(payload);
  await permit(conversationId, socket);
  socket.join(conversationId);
  const page = await messages.find({ conversationId }).sort({ seq: -1 }).limit(limit).toArray();
  const lastSeq = page.length === 0 ? 0 : page[0].seq;
  const history = { conversationId, messages: page.reverse().map(shown), hasMore: page.length === limit, lastSeq };
  socket.emit("conversation-history", history);
  return { conversationId, lastSeq };
}

async function leaveConversation(socket, payload) {
  socket.leave(conversationOf(payload));
  return {};
}

async function sendMessage(socket, payload) {
  const conversationId = conversationOf(payload);
  const content = contentOf(payload);
  await permit(conversationId, socket);
  const message = {
    conversationId,
    seq: 0,
    content,
    senderId: socket.data.user.id,
    type: "user",
    contentType: "text",
    isRead: false,
    createdAt: new Date(),
    attachments: payload.attachments ?? [],
    reactions: [],
    sender: socket.data.user,
  };
  if (payload.clientMessageId !== undefined) message.clientMessageId = payload.clientMessageId;
  await store(message);
  const told = shown(message);
  messaging.to(conversationId).emit("new-message", told);
  return { message: told };
}

function on(socket, name, command) {
  socket.on(name, async (payload, ack) => {
    let answer;
    try {
      answer = { success: true, ...(await command(socket, payload)) };
    } catch (error) {
      answer = { success: false, message: error.message, code: error.code ?? "INTERNAL" };
    }
    if (typeof ack === "function") ack(answer);
  });
}

// --- the server ---

const server = http.createServer((request, response) => response.end("ok")); // /readyz
const io = new Server(server, {
  perMessageDeflate: false,
  httpCompression: false,
  maxHttpBufferSize: 64 * 1024,
  serveClient: false,
});
const messaging = io.of("/messaging");

messaging.use((socket, next) => {
  try {
    const claims = jwt.verify(socket.handshake.auth.token, JWT_SECRET, { algorithms: ["HS256"] });
    if (typeof claims.sub !== "string" || claims.exp === undefined) throw new Error("sub and exp are needed");
    socket.data.user = { id: claims.sub, role: claims.role ?? "user" };
    next();
  } catch {
    next(new Error("AUTH_FAILED"));
  }
});

messaging.on("connection", (socket) => {
  on(socket, "join-conversation", joinConversation);
  on(socket, "leave-conversation", leaveConversation);
  on(socket, "send-message", sendMessage);
});

process.on("SIGUSR2", () => global.gc?.()); // so that its memory is compared without garbage
process.on("SIGTERM", () => process.exit(0));

async function main() {
  await client.connect();
  await members.createIndex({ conversationId: 1, userId: 1 }, { unique: true });
  await messages.createIndex({ conversationId: 1, seq: 1 }, { unique: true });
  server.listen({ port: Number(PORT), host: "127.0.0.1", backlog: 1024 });
}

main();
