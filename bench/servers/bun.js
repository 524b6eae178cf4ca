// Bun's own server with its own publish and subscribe, which is uWebSockets inside.

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request, server) {
    const url = new URL(request.url);
    if (request.method === "POST") {
      server.publish(url.searchParams.get("topic"), await request.text());
      return new Response("");
    }
    const topics = url.searchParams.get("topics").split(",");
    return server.upgrade(request, { data: { topics } }) ? undefined : new Response("", { status: 400 });
  },
  websocket: {
    // It pings 8 seconds before a client would be too silent: after 24 seconds.
    idleTimeout: 32,
    sendPings: true,
    perMessageDeflate: false,
    open(client) {
      for (const topic of client.data.topics) client.subscribe(topic);
    },
    message() {},
  },
});

console.log(`listening on http://127.0.0.1:${server.port}`);
