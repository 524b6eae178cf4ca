// Two ways to say what you want: in the URL, or by messages on the open connection.
//
// The second one asks for several things in a row, to show how each is answered.
//
//     npm install ws
//     node selecting.mjs url ws://127.0.0.1:8080/ws
//     node selecting.mjs messages ws://127.0.0.1:8080/ws

import WebSocket from "ws";

/** Nothing is sent: what stands in the URL is selected, from `welcome` on. */
function byUrl(address) {
  const query = "topics=trades.*&where.side=buy&where.price.gte=100";
  // A filter in JSON says what `where` cannot. It has to be escaped; commas between topics must not be, and
  // URLSearchParams escapes them.
  const either = encodeURIComponent(JSON.stringify({ or: [{ pair: "XBT/USD" }, { pair: "ETH/USD" }] }));
  const socket = new WebSocket(`${address}?${query}&filter=${either}`);
  socket.on("message", (text) => show(JSON.parse(text)));
  return socket;
}

/** A connection without topics waits for a command, for ten seconds. */
function byMessages(address) {
  const socket = new WebSocket(address);
  const ask = (id, command) => socket.send(JSON.stringify({ id, ...command }));
  // What follows from the answer to each command, which repeats its id. Events with a greater `seq` than that of the
  // answer are selected by the new set.
  const then = {
    // The same topics again: this replaces the filter.
    1: () => ask("2", { op: "subscribe", topics: ["trades.*"], filter: { side: "sell" } }),
    // Other topics are added, here with what the log still holds of them.
    2: () => ask("3", { op: "subscribe", topics: ["news.>"], after: "earliest" }),
    3: () => ask("4", { op: "unsubscribe", topics: ["trades.*"] }),
  };
  socket.on("open", () => ask("1", { op: "subscribe", topics: ["trades.*"], filter: { side: "buy" } }));
  socket.on("message", (text) => {
    const message = JSON.parse(text);
    show(message);
    if (message.op === "subscribed") then[message.id]?.();
    // A command that cannot be followed changes nothing, and the connection lives on.
    if (message.op === "error") console.log("refused:", message.id, message.code, message.hint);
  });
  return socket;
}

function show(message) {
  if (message.op === "event") console.log(message.seq, message.topic, JSON.stringify(message.data));
  if (message.op === "subscribed" || message.op === "unsubscribed") console.log(message.op, message.topics.join(","));
  if (message.op === "gap") console.log("missed:", message.reason);
}

const [way, address] = process.argv.slice(2);
const socket = { url: byUrl, messages: byMessages }[way](address);
socket.on("error", (error) => console.log("error:", error.message));
