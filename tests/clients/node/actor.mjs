// A minimal Standby Actor on the official SDK: counts requests, charges for each, and stores what it is told.
import { createServer } from "node:http";
import { createRequire } from "node:module";

// The packages are where NODE_PATH says, which `import` does not look at.
const { Actor } = createRequire(import.meta.url)("apify");

await Actor.init({ gracefulShutdown: false });
let isAborting = false;
const server = createServer(async (request, response) => {
  if (request.headers["x-apify-container-server-readiness-probe"]) return response.end("ready");
  if (request.url.startsWith("/charge")) {
    const { chargedCount } = await Actor.charge({ eventName: "event-delivered", count: 2 });
    await Actor.pushData({ charged: chargedCount });
    await Actor.setStatusMessage("charged");
    await Actor.setValue("state", { chargedCount });
    const state = await Actor.getValue("state");
    return response.end(JSON.stringify({ chargedCount, state, isAtHome: Actor.isAtHome(), input: await Actor.getInput() }));
  }
  response.end(JSON.stringify({ isAborting }));
});
Actor.on("aborting", () => {
  isAborting = true;
  server.close();
  server.closeIdleConnections();
  void Actor.exit("aborted in order");
});
Actor.on("systemInfo", ({ memCurrentBytes }) => memCurrentBytes > 0 && console.log("told of the machine"));
server.listen(Actor.config.get("containerPort"));
