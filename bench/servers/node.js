// Node's `ws`, with a set of clients for each topic.

import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const topics = new Map();

const http = createServer((request, response) => {
  const topic = new URL(request.url, "http://localhost").searchParams.get("topic");
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    for (const client of topics.get(topic) ?? []) client.send(body, { binary: false });
    response.writeHead(200, { "Content-Length": 0 }).end();
  });
});
// Publishers keep their connections.
http.keepAliveTimeout = 0;

const sockets = new WebSocketServer({ server: http, perMessageDeflate: false });
sockets.on("connection", (client, request) => {
  const wanted = new URL(request.url, "http://localhost").searchParams.get("topics").split(",");
  for (const topic of wanted) {
    if (!topics.has(topic)) topics.set(topic, new Set());
    topics.get(topic).add(client);
  }
  client.on("error", () => {});
  client.on("close", () => {
    for (const topic of wanted) topics.get(topic).delete(client);
  });
});

setInterval(() => {
  for (const client of sockets.clients) client.ping();
}, 25_000);

http.listen(0, "127.0.0.1", 8192, () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
