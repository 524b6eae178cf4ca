// Reconnect with backoff, and go on where you were.
//
//     npm install ws
//     node resume.mjs ws://127.0.0.1:8080/ws 'trades.>' [CURSOR]
//
// The client in clients/js does this and more: brackets, snapshots, conflation, tokens, a bounded buffer.

import WebSocket from "ws";

const [address, topics, first] = process.argv.slice(2);

// Where we are: what the next connection says.
const place = { cursor: first, token: undefined, failures: 0 };

/**
 * The server has sent all that matches up to there. No event of ours lies between the last one and that place, so its id goes
 * on to say where we are: if the server is another one by then, it finds us by that.
 */
function told(cursor) {
  const [epoch, seq, ...id] = cursor.split(":");
  const [before, , ...last] = (place.cursor ?? "").split(":");
  place.cursor = [epoch, seq, ...(id.length || before !== epoch ? id : last)].join(":");
}

function url() {
  // Commas between topics stay as they are: escaped, they would belong to a topic.
  const query = [`topics=${topics.split(",").map(encodeURIComponent)}`];
  if (place.cursor) query.push(`after=${encodeURIComponent(place.cursor)}`);
  // The token of the last connection proves that we have what stands before the cursor: it is not billed again.
  if (place.token) query.push(`resume=${encodeURIComponent(place.token)}`);
  return `${address}?${query.join("&")}`;
}

/** One connection, until its end. What to do then, and how many milliseconds to wait at least. */
function connection() {
  return new Promise((resolve) => {
    const socket = new WebSocket(url(), { handshakeTimeout: 10_000 });
    let end = { verdict: "backoff", least: 0 };
    let patience = 30_000;
    let epoch;
    // A server that is silent for much longer than between two heartbeats is not there any more.
    let silence = setTimeout(() => socket.terminate(), patience);

    socket.on("message", (text) => {
      clearTimeout(silence);
      silence = setTimeout(() => socket.terminate(), patience);
      const message = JSON.parse(text);
      switch (message.op) {
        case "welcome":
          epoch = message.epoch;
          place.token = message.resume;
          patience = 2 * message.heartbeat_interval_ms + 5000;
          break;
        case "subscribed":
          // The first place that we know, unless we said where to begin.
          place.cursor ??= `${epoch}:${message.seq}`;
          break;
        case "event":
          console.log(message.seq, message.topic, JSON.stringify(message.data));
          // Only now: what we have not worked off yet is to come again.
          place.cursor = [epoch, message.seq, message.id].filter((part) => part !== undefined).join(":");
          place.failures = 0;
          break;
        case "heartbeat":
          told(message.cursor);
          place.failures = 0;
          break;
        case "gap":
          // The log no longer held it, or is another one after a restart: get the state anew if you keep one.
          console.log("missed:", message.reason);
          break;
        case "error":
          console.log("error:", message.code, message.message);
          break;
        case "goodbye":
          if (message.cursor) told(message.cursor);
          end = { verdict: message.verdict, least: message.retry_after_ms ?? 0 };
      }
    });
    socket.on("unexpected-response", (request, answer) => {
      // 4xx is about the request, and the body says what would be right; 429 and 5xx are about the moment.
      const isForNow = [408, 425, 429].includes(answer.statusCode) || answer.statusCode >= 500;
      end = { verdict: isForNow ? "backoff" : "never", least: Number(answer.headers["retry-after"] ?? 0) * 1000 };
      let body = "";
      answer.on("data", (part) => (body += part));
      answer.on("end", () => {
        console.log("refused:", answer.statusCode, body);
        // Whoever listens to this event has to end the request.
        request.destroy();
        clearTimeout(silence);
        resolve(end);
      });
    });
    socket.on("error", (error) => console.log("lost:", error.message));
    socket.on("close", () => {
      clearTimeout(silence);
      resolve(end);
    });
  });
}

for (;;) {
  const { verdict, least } = await connection();
  if (verdict === "never") break;
  // Full jitter: all clients of a server that went away do not come back at the same moment.
  const isAtOnce = verdict !== "backoff" && place.failures === 0;
  const most = isAtOnce ? 0 : Math.min(500 * 2 ** place.failures, 20_000);
  place.failures = Math.min(place.failures + 1, 10);
  await new Promise((resolve) => setTimeout(resolve, Math.max(Math.random() * most, least)));
}
