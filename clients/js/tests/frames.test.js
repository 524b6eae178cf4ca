// Frames as a server may send them: whole, in pieces, and wrong.

import assert from "node:assert/strict";
import { test } from "node:test";

import { closeOf, frameOf, Parser, Violation } from "../dist/node/frames.js";
import { dice } from "./support/dice.js";

const MAX = 1 << 20;
const [MORE, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];

/** A frame of a server: unmasked. `first` is the opcode, with the bit of the last piece. */
function frame(first, payload = "", lengthAs) {
  const body = Buffer.from(payload);
  const width = lengthAs ?? (body.length < 126 ? 1 : body.length < 65536 ? 2 : 8);
  const head = Buffer.alloc(width === 1 ? 2 : width === 2 ? 4 : 10);
  head[0] = first;
  head[1] = width === 1 ? body.length : width === 2 ? 126 : 127;
  if (width === 2) head.writeUInt16BE(body.length, 2);
  if (width === 8) head.writeBigUInt64BE(BigInt(body.length), 2);
  return Buffer.concat([head, body]);
}
const last = (opcode, payload, lengthAs) => frame(0x80 | opcode, payload, lengthAs);

/** All that comes out of these reads. */
function read(chunks, max = MAX) {
  const parser = new Parser(max);
  const frames = [];
  for (const chunk of chunks) {
    parser.push(chunk);
    for (let next; (next = parser.next()); ) frames.push([next.opcode, next.payload.toString()]);
  }
  return frames;
}

test("a message of any length is read", () => {
  for (const length of [0, 1, 125, 126, 127, 65535, 65536, 70_000]) {
    const text = "x".repeat(length);
    assert.deepEqual(read([last(TEXT, text)]), [[TEXT, text]], `${length}`);
  }
});

test("what a read brings in one is read one by one", () => {
  const bytes = Buffer.concat([last(TEXT, "a"), last(PING, "p"), last(TEXT, "b"), last(CLOSE)]);
  assert.deepEqual(read([bytes]), [[TEXT, "a"], [PING, "p"], [TEXT, "b"], [CLOSE, ""]]);
});

test("control frames may stand between the pieces of a message", () => {
  const bytes = [frame(TEXT, "a"), last(PING, "1"), frame(MORE, ""), last(PONG, "2"), last(MORE, "b"), last(TEXT, "c")];
  assert.deepEqual(read([Buffer.concat(bytes)]), [[PING, "1"], [PONG, "2"], [TEXT, "ab"], [TEXT, "c"]]);
});

test("however reads cut the bytes, the messages are the same", (t) => {
  const { seed } = dice();
  t.diagnostic(`STANDPIPE_SEED=${seed}`);
  const random = dice(seed);
  for (let round = 0; round < 300; round++) {
    const expected = [];
    const pieces = [];
    for (let n = random.below(8); n > 0; n--) {
      if (random.chance(0.3)) {
        const payload = "p".repeat(random.below(126));
        pieces.push(last(PING, payload));
        expected.push([PING, payload]);
        continue;
      }
      const text = "é".repeat(random.below(random.chance(0.1) ? 40_000 : 200));
      const body = Buffer.from(text);
      const cut = random.below(body.length + 1);
      if (random.chance(0.5)) pieces.push(last(TEXT, body));
      else pieces.push(frame(TEXT, body.subarray(0, cut)), last(MORE, body.subarray(cut)));
      expected.push([TEXT, text]);
    }
    const bytes = Buffer.concat(pieces);
    const chunks = [];
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + random.below(random.chance(0.5) ? 3 : 5000);
      chunks.push(bytes.subarray(at, at + size));
      at += size;
    }
    assert.deepEqual(read(chunks), expected);
  }
});

test("what breaks the protocol is refused with the code that says how", () => {
  for (const [name, bytes, code] of [
    ["a reserved bit", frame(0xc1, "a"), 1002],
    ["a masked frame", Buffer.from([0x81, 0x81, 0, 0, 0, 0, 65]), 1002],
    ["an unknown opcode", last(3, "a"), 1002],
    ["an unknown control frame", last(11, "a"), 1002],
    ["a control frame in pieces", frame(PING, "a"), 1002],
    ["a control frame that is too long", last(PING, "x".repeat(126)), 1002],
    ["a piece of no message", last(MORE, "a"), 1002],
    ["a message within a message", Buffer.concat([frame(TEXT, "a"), last(TEXT, "b")]), 1002],
    ["a length in more bytes than it needs", last(TEXT, "a", 2), 1002],
    ["a length in many more bytes than it needs", last(TEXT, "x".repeat(200), 8), 1002],
    ["a text that is not UTF-8", last(TEXT, Buffer.from([0xff])), 1007],
    ["a text whose last character is cut", last(TEXT, Buffer.from([0xc3])), 1007],
    ["a message that is too large", last(TEXT, "x".repeat(1001)), 1009],
    ["one that is too large in pieces", Buffer.concat([frame(TEXT, "x".repeat(600)), last(MORE, "x".repeat(600))]), 1009],
  ]) {
    const refused = (error) => error instanceof Violation && error.code === code;
    assert.throws(() => read([bytes], 1000), refused, name);
  }
});

test("a message is refused by its announced length, before its bytes are there", () => {
  const announced = Buffer.from([0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
  assert.throws(() => read([announced]), (error) => error.code === 1009);
});

test("a character may be cut between the pieces of a message", () => {
  const bytes = Buffer.from("é");
  assert.deepEqual(read([frame(TEXT, bytes.subarray(0, 1)), last(MORE, bytes.subarray(1))]), [[TEXT, "é"]]);
});

test("random bytes are read or refused, and nothing else", () => {
  const random = dice(1);
  for (let round = 0; round < 2000; round++) {
    const bytes = Buffer.from(Array.from({ length: random.below(60) }, () => random.below(256)));
    try {
      read([bytes], 1000);
    } catch (error) {
      assert.ok(error instanceof Violation, error);
    }
  }
});

test("a close has a code that may be sent, or none", () => {
  const payload = (code, reason = "") => Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);
  assert.deepEqual(closeOf(Buffer.alloc(0)), { code: 1005, reason: "" });
  assert.deepEqual(closeOf(payload(4200, "RESTART")), { code: 4200, reason: "RESTART" });
  for (const wrong of [payload(0), payload(999), payload(1005), payload(1006), payload(1015), payload(2000), payload(5000)]) {
    assert.throws(() => closeOf(wrong), (error) => error.code === 1002);
  }
  assert.throws(() => closeOf(Buffer.from([3])), (error) => error.code === 1002);
  assert.throws(() => closeOf(payload(1000, Buffer.from([0xff]))), (error) => error.code === 1007);
});

test("what a client writes is masked, and can be read again", () => {
  for (const length of [0, 5, 125, 126, 65535, 65536]) {
    const payload = Buffer.from("x".repeat(length));
    const bytes = frameOf(BINARY, payload);
    assert.ok(bytes[1] & 0x80);
    const size = length < 126 ? 2 : length < 65536 ? 4 : 10;
    const mask = bytes.subarray(size, size + 4);
    const plain = bytes.subarray(size + 4).map((byte, i) => byte ^ mask[i % 4]);
    const unmasked = Buffer.concat([bytes.subarray(0, size), plain]);
    unmasked[1] &= 0x7f;
    assert.deepEqual(read([unmasked]), [[BINARY, payload.toString()]]);
  }
});
