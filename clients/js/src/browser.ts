// A wire over the WebSocket of a browser, or over any other with that interface. The token is a subprotocol, because such
// a WebSocket can send no header; why a handshake failed is not told to it.

import { ConnectionError, final } from "./errors.js";
import type { WebSocketConstructor } from "./types.js";
import { type Open, SUBPROTOCOL } from "./wire.js";

/** What the name of a subprotocol may hold (RFC 6455 §4.1, RFC 9110 §5.6.2). */
const NAME = /^[!#$%&'*+\-.^_`|~\w]+$/;

/** Opens wires by `constructor`; by the platform's if there is none. */
export function over(constructor: WebSocketConstructor = globalThis.WebSocket): Open {
  return (url, token, listener) => {
    const offered = [SUBPROTOCOL];
    if (token) {
      if (!NAME.test(token)) throw final("token", "the token cannot be the name of a subprotocol");
      offered.push(`standpipe.auth.${token}`);
    }
    const socket = new constructor(url, offered);
    let why: ConnectionError | undefined = new ConnectionError("unreachable", `cannot connect to ${new URL(url).host}`);
    socket.onopen = () => {
      why = undefined;
      listener.open();
    };
    socket.onmessage = ({ data }) => listener.message(data);
    // It says nothing but that `close` follows.
    socket.onerror = () => {};
    // 1005 and 1006 stand for a close without a code and for none (RFC 6455 §7.4.1).
    socket.onclose = ({ code, reason }) => listener.end(/100[56]/.test(code) ? null : code, reason, why);
    return socket;
  };
}
