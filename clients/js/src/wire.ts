// What a connection needs of a WebSocket, whoever makes it.

import type { ConnectionError } from "./errors.js";

/** A WebSocket that is being opened, or open. */
export interface Wire {
  /** Sends one text. */
  send(text: string): void;
  /** Begins the close handshake, or gives up an attempt. What comes until its end is still told. */
  close(code: number): void;
  /** How much waits to be sent, in bytes. */
  readonly bufferedAmount: number;
}

/** Who is told what happens to a wire. */
export interface Listener {
  open(): void;
  /** A text; anything else is not this protocol. */
  message(text: unknown): void;
  /** Anything else came. */
  heard(): void;
  /** The end, once: by a close frame with this code, without one (null), or for a better known reason. */
  end(code: number | null, reason: string, why?: ConnectionError): void;
}

/** Opens a WebSocket. What fails at once is thrown, what fails later is told. */
export type Open = (url: string, token: string | undefined, listener: Listener) => Wire;

/** What every client offers. */
export const SUBPROTOCOL = "standpipe.v1";
