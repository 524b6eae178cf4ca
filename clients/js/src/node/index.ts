// The entry for Node: the same client over Node's own HTTP, with the token in a header.

import { Client as Core } from "../client.js";
import type { Options } from "../types.js";
import { overNode } from "./socket.js";

export * from "../index.js";

/** A client over `node:http`, or over the WebSocket that the options name. */
export class Client<Data = unknown> extends Core<Data> {
  constructor(options: Options) {
    super(options, options.WebSocket ? undefined : overNode(options.maxMessage));
  }
}
