// A wire over Node's own HTTP, because Node 20 has no WebSocket, and none of Node's shows why a server refused.

import type { ClientRequest } from "node:http";
import type { Duplex } from "node:stream";

import { foreign } from "../errors.js";
import type { Listener, Open, Wire } from "../wire.js";
import { CLOSE, closeOf, closing, type Frame, frameOf, Parser, PING, PONG, TEXT, Violation } from "./frames.js";
import { type Upgraded, upgrade } from "./handshake.js";

/** While more than this waits to be sent, in bytes, pings are not answered: a later answer stands for all of them. */
const MAX_UNSENT = 64 << 10;

/** From our close frame to letting go of a server that does not end the connection, in milliseconds. */
const PATIENCE = 3000;

/** Opens wires that take messages of up to `maxMessage` bytes. */
export function overNode(maxMessage = 16 << 20): Open {
  return (url, token, listener) => new Socket(url, token, listener, maxMessage);
}

/**
 *     upgrading ──▶ open ──`close()`, or a close of the server's──▶ closing ──▶ ended
 */
class Socket implements Wire {
  readonly #listener: Listener;
  readonly #parser: Parser;
  readonly #request: ClientRequest;
  #stream: Duplex | undefined;
  #isClosing = false;
  #isEnded = false;

  constructor(url: string, token: string | undefined, listener: Listener, maxMessage: number) {
    this.#listener = listener;
    this.#parser = new Parser(maxMessage);
    this.#request = upgrade(
      url,
      token,
      (upgraded) => this.#open(upgraded),
      (why) => this.#end(() => listener.end(null, "", why)),
    );
  }

  get bufferedAmount(): number {
    return this.#stream?.writableLength ?? 0;
  }

  send(text: string): void {
    if (!this.#isClosing) this.#write(TEXT, Buffer.from(text));
  }

  close(code: number): void {
    if (!this.#stream) return this.#end(() => {});
    this.#sendClose(code);
    this.#limit();
  }

  #open({ socket, head }: Upgraded): void {
    if (this.#isEnded) return void socket.destroy();
    this.#stream = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("end", () => this.#lost());
    socket.on("close", () => this.#lost());
    socket.on("error", () => this.#lost());
    this.#listener.open();
    this.#read(head);
  }

  #read(chunk: Buffer): void {
    if (this.#isEnded) return;
    this.#parser.push(chunk);
    try {
      for (let frame; !this.#isEnded && (frame = this.#parser.next()); ) this.#follow(frame);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.#sendClose(error.code);
      this.#end(() => this.#listener.end(null, "", foreign(`it sent ${error.message}`)));
    }
  }

  #follow({ opcode, payload }: Frame): void {
    if (opcode === CLOSE) {
      const { code, reason } = closeOf(payload);
      this.#sendClose(code === 1005 ? 1000 : code);
      return this.#end(() => this.#listener.end(code === 1005 ? null : code, reason));
    }
    if (opcode < CLOSE) return this.#listener.message(opcode === TEXT ? payload.toString() : payload);
    this.#listener.heard();
    if (opcode === PING && !this.#isClosing && this.bufferedAmount <= MAX_UNSENT) this.#write(PONG, payload);
  }

  #lost(): void {
    this.#end(() => this.#listener.end(null, ""));
  }

  #sendClose(code: number): void {
    if (!this.#isClosing) this.#write(CLOSE, closing(code));
    this.#isClosing = true;
  }

  #write(opcode: number, payload: Buffer): void {
    this.#stream?.write(frameOf(opcode, payload));
  }

  /** Ends the stream behind what was written, and tells it once. */
  #end(tell: () => void): void {
    if (this.#isEnded) return;
    this.#sendClose(1000);
    this.#isEnded = true;
    const stream = this.#stream;
    if (!stream) this.#request.destroy();
    // Nobody reads any more; what is written gets the time that a close has.
    stream?.end();
    this.#limit();
    tell();
  }

  /** Lets go of a server that does not let go. */
  #limit(): void {
    setTimeout(() => this.#stream?.destroy(), PATIENCE).unref();
  }
}
