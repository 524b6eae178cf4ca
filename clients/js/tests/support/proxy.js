// A network between client and server that can be cut, and swallow what is sent.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** A proxy to `port`, until the test ends. */
export async function proxyTo(t, port) {
  const pairs = new Set();
  const proxy = { isHole: false, connections: 0, port };
  const server = createServer((near) => {
    proxy.connections += 1;
    const far = connect(proxy.port, "127.0.0.1");
    const pair = [near, far];
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const [from, to] of [pair, [far, near]]) {
      from.on("data", (chunk) => proxy.isHole || to.write(chunk));
      from.on("close", end);
      from.on("error", end);
    }
  });
  proxy.cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  proxy.url = `ws://127.0.0.1:${server.address().port}`;
  t.after(() => {
    proxy.cut();
    server.close();
  });
  return proxy;
}
