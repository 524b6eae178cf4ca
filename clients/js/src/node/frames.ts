// WebSocket frames as a client reads and writes them (RFC 6455 §5). No I/O: bytes in, frames out.

import { isUtf8 } from "node:buffer";
import { randomFillSync } from "node:crypto";

export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/** What a control frame holds at most, in bytes (§5.5). */
const MAX_CONTROL = 125;

/** A whole message, or a control frame. */
export interface Frame {
  opcode: number;
  payload: Buffer;
}

/** The server breaks the protocol; `code` is what a close says about that (§7.4.1). */
export class Violation extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

interface Header {
  opcode: number;
  isLast: boolean;
  length: number;
}

/**
 * Puts together what came in pieces: frames that a read cut, and messages that the server cut (§5.4), between whose
 * pieces control frames may stand. It holds no more than one message of `maxMessage` bytes and what the last read brought.
 */
export class Parser {
  readonly #maxMessage: number;
  #chunks: Buffer[] = [];
  #size = 0;
  #header: Header | undefined;
  /** The message that is not whole yet. */
  #opcode = 0;
  #pieces: Buffer[] = [];
  #length = 0;

  constructor(maxMessage: number) {
    this.#maxMessage = maxMessage;
  }

  /** Takes what was read. */
  push(chunk: Buffer): void {
    if (!chunk.length) return;
    this.#chunks.push(chunk);
    this.#size += chunk.length;
  }

  /** The next message or control frame, if it is there. */
  next(): Frame | undefined {
    for (;;) {
      this.#header ??= this.#readHeader();
      if (!this.#header || this.#size < this.#header.length) return undefined;
      const { opcode, isLast, length } = this.#header;
      this.#header = undefined;
      const payload = this.#take(length);
      if (opcode >= CLOSE) return { opcode, payload };
      if (opcode) this.#opcode = opcode;
      if (length) this.#pieces.push(payload);
      this.#length += length;
      if (isLast) return this.#message();
    }
  }

  #message(): Frame {
    const opcode = this.#opcode;
    const payload = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#opcode = this.#length = 0;
    if (opcode === TEXT && !isUtf8(payload)) throw new Violation(1007, "a text that is not UTF-8");
    return { opcode, payload };
  }

  #readHeader(): Header | undefined {
    if (this.#size < 2) return undefined;
    const start = this.#peek(2);
    const [first, second] = [start[0]!, start[1]!];
    const short = second & 0x7f;
    const size = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (this.#size < size) return undefined;
    const header = this.#take(size);
    const length = short < 126 ? short : short === 126 ? header.readUInt16BE(2) : Number(header.readBigUInt64BE(2));
    const opcode = first & 0x0f;
    const isLast = first >= 0x80;
    if (first & 0x70) throw new Violation(1002, "a reserved bit, without an extension");
    if (second & 0x80) throw new Violation(1002, "a masked frame from a server");
    if (length < (short === 126 ? 126 : short === 127 ? 0x10000 : 0)) throw new Violation(1002, "an overlong length");
    if (opcode >= CLOSE) {
      if (opcode > PONG) throw new Violation(1002, `the unknown opcode ${opcode}`);
      if (!isLast || length > MAX_CONTROL) throw new Violation(1002, "a control frame that is too long, or in pieces");
      return { opcode, isLast, length };
    }
    if (opcode > BINARY) throw new Violation(1002, `the unknown opcode ${opcode}`);
    if (!opcode !== !!this.#opcode) throw new Violation(1002, "a message within a message, or a piece of none");
    if (this.#length + length > this.#maxMessage) {
      throw new Violation(1009, `a message of more than ${this.#maxMessage} bytes`);
    }
    return { opcode, isLast, length };
  }

  /** The first `size` bytes, which are there. */
  #peek(size: number): Buffer {
    const first = this.#chunks[0]!;
    if (first.length < size) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }

  /** Takes the first `size` bytes, which are there: in place if one read brought them. */
  #take(size: number): Buffer {
    this.#size -= size;
    const taken: Buffer[] = [];
    while (size > 0) {
      const first = this.#chunks[0]!;
      taken.push(first.subarray(0, size));
      if (first.length > size) this.#chunks[0] = first.subarray(size);
      else this.#chunks.shift();
      size -= Math.min(size, first.length);
    }
    return taken.length === 1 ? taken[0]! : Buffer.concat(taken);
  }
}

/** The code and reason of a close frame (§5.5.1); no code, and 1005 stands for that, in an empty one. */
export function closeOf(payload: Buffer): { code: number; reason: string } {
  if (!payload.length) return { code: 1005, reason: "" };
  const code = payload.length > 1 ? payload.readUInt16BE(0) : 0;
  const reason = payload.subarray(2);
  const isKnown = code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code);
  if (!isKnown && (code < 3000 || code > 4999)) throw new Violation(1002, `a close with the code ${code}`);
  if (!isUtf8(reason)) throw new Violation(1007, "a reason that is not UTF-8");
  return { code, reason: reason.toString() };
}

/** The payload of a close frame. */
export function closing(code: number): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return payload;
}

/** One frame, masked as every frame of a client has to be (§5.3). */
export function frameOf(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const size = length < 126 ? 2 : length < 0x10000 ? 4 : 10;
  const frame = Buffer.allocUnsafe(size + 4 + length);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (size === 2 ? length : size === 4 ? 126 : 127);
  if (size === 4) frame.writeUInt16BE(length, 2);
  if (size === 10) frame.writeBigUInt64BE(BigInt(length), 2);
  randomFillSync(frame, size, 4);
  for (let i = 0; i < length; i++) frame[size + 4 + i] = payload[i]! ^ frame[size + (i & 3)]!;
  return frame;
}
