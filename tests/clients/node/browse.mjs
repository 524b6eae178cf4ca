// Pages in a real browser, for the end-to-end tests.
//
// Reads one JSON object from its argument: {"executable", "visits": [{"page", "sockets", "requests"}]}. Each page is opened
// in turn, as a browser that was never anywhere else; from within it WebSockets are opened ({"url", "subprotocols", "until"}:
// it leaves after a message with that op) and requests made ({"url", "method", "mode"}). Prints one line for each visit:
// {"sockets": [{"messages", "closed": {"code", "reason"}} or {"messages", "left": "op"}], "answers": [{"status", "body"}]}.
// What the browser does not let the page see has the status 0.

import { launch } from "./chromium.mjs";

const { executable, visits } = JSON.parse(process.argv[2]);
const browser = await launch(executable);

/** Opens a socket from within a page, and waits for its end. */
const open = ({ url, subprotocols, until }) =>
  new Promise((resolve) => {
    const socket = new WebSocket(url, subprotocols);
    const messages = [];
    let left;
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      messages.push(message);
      if (message.op !== until) return;
      left = "op";
      socket.close();
    };
    socket.onclose = ({ code, reason }) => resolve(left ? { messages, left } : { messages, closed: { code, reason } });
  });

/** Makes a request from within a page. */
const ask = async ({ url, method, mode }) => {
  try {
    const answer = await fetch(url, { method, mode });
    return { status: answer.status, body: await answer.text() };
  } catch (error) {
    return { status: 0, body: String(error) };
  }
};

for (const visit of visits) {
  const page = await browser.newPage();
  await page.goto(visit.page);
  const seen = { sockets: [], answers: [] };
  for (const socket of visit.sockets) seen.sockets.push(await page.evaluate(open, socket));
  for (const request of visit.requests) seen.answers.push(await page.evaluate(ask, request));
  process.stdout.write(`${JSON.stringify(seen)}\n`);
  await page.context().close();
}
await browser.close();
