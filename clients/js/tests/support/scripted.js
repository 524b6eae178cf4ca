// A server that does what a test says, for what the real one does not show easily.

import { once } from "node:events";

import { WebSocketServer } from "ws";

export const EPOCH = "00000000000000aa";

export const WELCOME = {
  op: "welcome",
  protocol: 1,
  connection: "c1",
  resume: "hunter2",
  epoch: EPOCH,
  head: 7,
  confirm: "pong",
  overflow: "disconnect",
  heartbeat_interval_ms: 15_000,
  limits: { max_unconfirmed_frames: 4000, max_unconfirmed_bytes: 1 << 20 },
};

export const SUBSCRIBED = { op: "subscribed", topics: ["a"], seq: 7 };

/** One connection, as the server sees it. */
export class Peer {
  /** What the client sent, as it came. */
  commands = [];
  #watching = [];

  constructor(socket, request) {
    this.socket = socket;
    this.request = request;
    this.query = new URL(request.url, "ws://h").searchParams;
    this.closed = once(socket, "close").then(([code]) => code);
    socket.on("message", (text) => {
      this.commands.push(JSON.parse(text.toString()));
      for (const wake of this.#watching.splice(0)) wake();
    });
  }

  say(...messages) {
    for (const message of messages) this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  welcome(fields = {}) {
    this.say({ ...WELCOME, ...fields });
  }

  /** What comes before the events that the URL selects. */
  begin(fields = {}) {
    this.welcome(fields);
    this.say(SUBSCRIBED);
  }

  event(seq, fields = {}) {
    this.say({ op: "event", seq, topic: "a", source: "s", data: { n: seq }, ...fields });
  }

  goodbye(code, reason, verdict, fields = {}) {
    this.say({ op: "goodbye", code, reason, verdict, ...fields });
    this.socket.close(code, reason);
  }

  /** The first command of that name that fits, as soon as it has come. */
  async command(op, fits = () => true) {
    for (;;) {
      const found = this.commands.find((command) => command.op === op && fits(command));
      if (found) return found;
      await new Promise((resolve) => this.#watching.push(resolve));
    }
  }
}

/**
 * Serves each connection by the next of `scripts`, the last one for all that follow. Ends with the test `t`.
 */
export async function scripted(t, ...scripts) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: () => "standpipe.v1" });
  await once(server, "listening");
  const peers = [];
  const failures = [];
  server.on("connection", (socket, request) => {
    socket.on("error", () => {});
    const peer = new Peer(socket, request);
    const script = scripts[Math.min(peers.length, scripts.length - 1)];
    peers.push(peer);
    Promise.resolve(script(peer)).catch((error) => failures.push(error));
  });
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
    if (failures.length) throw failures[0];
  });
  return { url: `ws://127.0.0.1:${server.address().port}`, peers };
}
