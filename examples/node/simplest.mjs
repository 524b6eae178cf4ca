// The simplest connection: say what you want in the URL, and events come.
//
// It ends when the connection does; resume.mjs shows what to do then.
//
//     npm install ws
//     node simplest.mjs 'ws://127.0.0.1:8080/ws?topics=trades.>'

import WebSocket from "ws";

const socket = new WebSocket(process.argv[2]);

socket.on("message", (text) => {
  const message = JSON.parse(text);
  // There are other messages: see docs/protocol.md. Ignore those that you do not know.
  if (message.op === "event") console.log(message.seq, message.topic, JSON.stringify(message.data));
  if (message.op === "gap") console.log("missed:", message.reason);
});
// A request that cannot be followed is answered by HTTP: resume.mjs shows how to read what would be right.
socket.on("error", (error) => console.log("error:", error.message));
socket.on("close", (code, reason) => console.log("closed:", code, String(reason)));
