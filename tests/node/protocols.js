// What the suites beside the documents of Engine.IO v4 and Socket.IO v5 look at, in our words, with a client
// that is as careless as they are: it listens for one thing at a time, and misses what comes meanwhile.
// node protocols.js URL "timed" | "other"   prints a JSON line {name, error} for each case.
// Those that are timed need a server that waits 200 ms for a pong; the others are better off with more.
const assert = require("node:assert/strict");
const { WebSocket } = require("ws");

const [base, which] = process.argv.slice(2);
const PING = 300, PONG = 200, CASE_LIMIT = 10_000;
const cases = [];
const timed = (name, run) => cases.push({ name, run, timed: true });
const other = (name, run) => cases.push({ name, run, timed: false });

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const next = (socket, type = "message") =>
  new Promise((resolve) => socket.addEventListener(type, resolve, { once: true }));
const said = async (socket) => (await next(socket)).data;
const saidOf = (socket, count) =>
  new Promise((resolve) => {
    const seen = [];
    socket.addEventListener("message", ({ data }) => data !== "2" && seen.push(data) === count && resolve(seen));
  });

/** One of the two servers: the bare echo of Engine.IO, and that of Socket.IO. */
function place(path) {
  const http = `${base}${path}?`, ws = http.replace("http", "ws");
  const polling = (query, options) => fetch(`${http}EIO=4&transport=polling${query}`, options);
  const post = (sid, body) => polling(`&sid=${sid}`, { method: "post", body });
  const poll = (sid, options) => polling(`&sid=${sid}`, options);
  const socket = (query = "EIO=4&transport=websocket") => {
    const made = new WebSocket(ws + query);
    made.binaryType = "arraybuffer";
    made.on("error", () => {});
    return made;
  };
  const over = (sid) => socket(`EIO=4&transport=websocket&sid=${sid}`);
  const session = async () => JSON.parse((await (await polling("")).text()).slice(1)).sid;
  return { http, polling, post, poll, socket, over, session };
}

async function answered(response, status, text) {
  assert.equal(response.status, status);
  if (text !== undefined) assert.equal(await response.text(), text);
}

for (const path of ["/engine.io/", "/socket.io/"]) {
  const { http, polling, post, poll, socket, over, session } = place(path);
  const opened = (packet, upgrades) => {
    assert.equal(packet[0], "0");
    const { sid, ...rest } = JSON.parse(packet.slice(1));
    assert.equal(typeof sid, "string");
    assert.deepEqual(rest, { upgrades, pingInterval: PING, pingTimeout: PONG, maxPayload: 1_000_000 });
  };

  timed(`${path} a session opens by polling`, async () => {
    const response = await polling("");
    assert.equal(response.status, 200);
    opened(await response.text(), ["websocket"]);
  });
  timed(`${path} and by websocket`, async () => opened(await said(socket()), []));
  for (const query of ["transport=polling", "EIO=abc&transport=polling", "EIO=4", "EIO=4&transport=abc"]) {
    other(`${path} no session for ${query}`, async () => {
      await answered(await fetch(http + query), 400);
      await next(socket(query.replace("polling", "websocket")), "close");
    });
  }
  for (const method of ["post", "put"]) {
    other(`${path} no session by ${method}`, async () => answered(await polling("", { method }), 400));
  }

  timed(`${path} pings and pongs by polling`, async () => {
    const sid = await session();
    for (let times = 0; times < 3; times++) {
      await answered(await poll(sid), 200, "2");
      await answered(await post(sid, "3"), 200);
    }
  });
  timed(`${path} pings and pongs by websocket`, async () => {
    const ws = socket();
    await next(ws);
    for (let times = 0; times < 3; times++) {
      assert.equal(await said(ws), "2");
      ws.send("3");
    }
    ws.close();
  });
  timed(`${path} who never answers is unknown after a ping and its wait`, async () => {
    const sid = await session();
    await sleep(PING + PONG);
    await answered(await poll(sid), 400);
  });
  timed(`${path} … and closed`, () => next(socket(), "close"));

  other(`${path} a client closes while it polls`, async () => {
    const sid = await session();
    const [waiting] = await Promise.all([poll(sid), post(sid, "1")]);
    await answered(waiting, 200, "6");
    await answered(await poll(sid), 400);
  });
  other(`${path} a client closes its websocket`, async () => {
    const ws = socket();
    await next(ws);
    ws.send("1");
    await next(ws, "close");
  });

  other(`${path} an upgrade in one breath`, async () => {
    const sid = await session();
    const ws = over(sid);
    await next(ws, "open");
    ws.send("2probe");
    ws.send("5");
    await answered(await poll(sid), 400);
    await next(over(sid), "close");
    ws.close();
  });
  other(`${path} an upgrade step by step`, async () => {
    const sid = await session();
    const ws = over(sid);
    await next(ws, "open");
    ws.send("2probe");
    assert.equal(await said(ws), "3probe");
    await answered(await poll(sid), 200, "6");
    ws.send("5");
    if (path === "/engine.io/") {
      ws.send("4hello");
      assert.equal(await said(ws), "4hello");
    }
    ws.close();
  });
}

const engine = place("/engine.io/");
for (const body of ["4hello", "4test1\x1e4test2\x1e4test3", "4hello\x1ebAQIDBA=="]) {
  other(`says back by polling ${JSON.stringify(body)}`, async () => {
    const sid = await engine.session();
    await answered(await engine.post(sid, body), 200, "ok");
    await answered(await engine.poll(sid), 200, body);
  });
}
other("what is no packet ends a polling session", async () => {
  const sid = await engine.session();
  await answered(await engine.post(sid, "abc"), 400);
  await answered(await engine.poll(sid), 400);
});
other("two polls at once end the session", async () => {
  const sid = await engine.session();
  const second = sleep(5).then(() => engine.polling(`&sid=${sid}&t=burst`));
  await answered(await engine.poll(sid), 200, "1");
  await answered(await second, 400);
  await answered(await engine.poll(sid), 400);
});
other("a poll that is given up ends the session", async () => {
  const sid = await engine.session();
  const giving = new AbortController();
  engine.poll(sid, { signal: giving.signal }).catch(() => {});
  await sleep(5);
  giving.abort();
  await answered(await engine.poll(sid), 400);
});
other("says back text and bytes by websocket", async () => {
  const ws = engine.socket();
  await next(ws);
  ws.send("4hello");
  assert.equal(await said(ws), "4hello");
  ws.send(Uint8Array.from([1, 2, 3, 4]));
  assert.deepEqual(new Uint8Array(await said(ws)), Uint8Array.from([1, 2, 3, 4]));
  ws.close();
});
other("what is no packet closes a websocket", async () => {
  const ws = engine.socket();
  await next(ws);
  ws.send("abc");
  await next(ws, "close");
});
for (const kind of ["poll", "websocket"]) {
  other(`a ${kind} after an upgrade does it no harm`, async () => {
    const sid = await engine.session();
    const ws = engine.over(sid);
    await next(ws, "open");
    ws.send("2probe");
    await next(ws);
    ws.send("5");
    if (kind === "poll") await answered(await engine.poll(sid), 400);
    else await next(engine.over(sid), "close");
    ws.send("4hello");
    assert.equal(await said(ws), "4hello");
    ws.close();
  });
}

const main = place("/socket.io/");
async function inside() {
  const ws = main.socket();
  await next(ws);
  ws.send("40");
  await next(ws);
  assert.match(await said(ws), /^42\["auth"/);
  return ws;
}
for (const named of ["", "/custom,"]) {
  for (const auth of ["", '{"token":"123"}']) {
    other(`a namespace is entered with 40${named}${auth}`, async () => {
      const ws = main.socket();
      await next(ws);
      ws.send(`40${named}${auth}`);
      const told = await said(ws);
      assert.ok(told.startsWith(`40${named}{`));
      const { sid, ...rest } = JSON.parse(told.slice(2 + named.length));
      assert.equal(typeof sid, "string");
      assert.deepEqual(rest, {});
      assert.equal(await said(ws), `42${named}["auth",${auth || "{}"}]`);
      ws.close();
    });
  }
}
other("a namespace that there is not", async () => {
  const ws = main.socket();
  await next(ws);
  ws.send("40/random");
  assert.equal(await said(ws), '44/random,{"message":"Invalid namespace"}');
  ws.close();
});
for (const packet of ["4abc", "42{}", '42abc["message-with-ack",1,"2",{"3":[false]}]']) {
  other(`${packet} closes the connection`, async () => {
    const ws = await inside();
    ws.send(packet);
    await next(ws, "close");
  });
}
other("4abc before any namespace, too", async () => {
  const ws = main.socket();
  await next(ws);
  ws.send("4abc");
  await next(ws, "close");
});
other("who leaves a namespace is still connected", async () => {
  const ws = await inside();
  ws.send("41");
  assert.equal(await said(ws), "2");
  ws.close();
});
other("who leaves one namespace is still in the other", async () => {
  const ws = await inside();
  await next(ws); // a ping
  ws.send("40/custom");
  await next(ws);
  await next(ws);
  ws.send("41/custom");
  ws.send('42["message","message to main namespace"]');
  assert.equal(await said(ws), '42["message-back","message to main namespace"]');
  ws.close();
});
for (const [sent, expected] of [
  ['42["message",1,"2",{"3":[true]}]', '42["message-back",1,"2",{"3":[true]}]'],
  ['42456["message-with-ack",1,"2",{"3":[false]}]', '43456[1,"2",{"3":[false]}]'],
]) {
  other(`says back ${sent}`, async () => {
    const ws = await inside();
    ws.send(sent);
    assert.equal(await said(ws), expected);
    ws.close();
  });
}
const BYTES = [[1, 2, 3], [4, 5, 6]].map((bytes) => Uint8Array.from(bytes));
const HOLES = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]';
for (const [sent, expected] of [
  ['452-["message",', '452-["message-back",'],
  ['452-789["message-with-ack",', "462-789["],
]) {
  other(`says back ${sent} and two attachments`, async () => {
    const ws = await inside();
    const answers = saidOf(ws, 3);
    [sent + HOLES, ...BYTES].forEach((part) => ws.send(part));
    const [text, ...attachments] = await answers;
    assert.equal(text, expected + HOLES);
    assert.deepEqual(attachments.map((each) => new Uint8Array(each)), BYTES);
    ws.close();
  });
}

function outcome(run) {
  const limit = sleep(CASE_LIMIT).then(() => assert.fail("it took too long"));
  return Promise.race([run(), limit]).then(() => null, (failure) => failure.message);
}

async function runAll() {
  for (const { name, run, timed } of cases) {
    if (timed !== (which === "timed")) continue;
    console.log(JSON.stringify({ name, error: await outcome(run) }));
  }
  process.exit(0);
}
runAll();
