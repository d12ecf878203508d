// Reads an AsyncAPI document, prints what the official parser has to say of it, and what it found there.
const { Parser } = require("@asyncapi/parser");
const { readFileSync } = require("node:fs");

(async () => {
  const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
  const said = diagnostics.map(({ code, message, path, severity }) => ({ code, message, path, severity }));
  const operations = document?.operations().all() ?? [];
  const found = operations.map((operation) => ({
    id: operation.id(),
    action: operation.action(),
    channel: operation.channels().all()[0].address(),
    messages: operation.messages().all().map((message) => message.name()),
    replies: operation.reply()?.messages().all().map((message) => message.name()) ?? [],
  }));
  console.log(JSON.stringify({ diagnostics: said, operations: found }));
})();
