// When a client comes back, gives up, renews and acknowledges: tables with explicit times.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Acks } from "../dist/acks.js";
import { verdictOf } from "../dist/errors.js";
import { dueIn } from "../dist/renew.js";
import { Backoff } from "../dist/retry.js";
import { CAPACITY, Seen } from "../dist/seen.js";
import { Silence } from "../dist/silence.js";

const MOST = 1 - 2 ** -32;
const backoff = () => new Backoff({ base: 500, cap: 20_000 });
const wait = (backoff, verdict, retryAfter, random = MOST) => Math.floor(backoff.wait(verdict, retryAfter, random));

test("waits double up to the cap", () => {
  const one = backoff();
  const waits = Array.from({ length: 8 }, () => wait(one, "backoff"));
  assert.deepEqual(waits, [499, 999, 1999, 3999, 7999, 15999, 19999, 19999]);
  one.progressed();
  assert.equal(wait(one, "backoff"), 499);
  assert.equal(wait(one, "backoff", undefined, 0), 0, "full jitter begins at nothing");
  for (let i = 0; i < 2000; i++) assert.ok(wait(one, "backoff") < 20_000);
});

test("now is now once", () => {
  const one = backoff();
  assert.deepEqual([wait(one, "now"), wait(one, "now"), wait(one, "renew")], [0, 999, 1999]);
  one.progressed();
  assert.equal(wait(one, "renew"), 0);
});

test("the server may ask for more patience", () => {
  const one = backoff();
  assert.equal(wait(one, "now", 850), 850);
  assert.equal(wait(one, "backoff", 60_000), 60_000);
  assert.equal(wait(one, "backoff", 1), 1999);
  assert.equal(wait(one, "now", Infinity), 600_000);
  assert.equal(wait(backoff(), "now", NaN), 0);
});

test("never is never", () => {
  assert.equal(backoff().wait("never", 0, 0), undefined);
});

test("the code of a close tells whether to come back", () => {
  for (const [code, verdict] of [
    [1000, "backoff"],
    [1001, "backoff"],
    [1009, "never"],
    [1011, "backoff"],
    [4001, "never"],
    [4099, "never"],
    [4100, "backoff"],
    [4200, "now"],
    [4203, "renew"],
    [4300, "backoff"],
  ]) {
    assert.equal(verdictOf(code), verdict, `${code}`);
  }
});

test("two intervals and the slack may be silent", () => {
  const silence = new Silence(15_000, 5000, 0);
  assert.equal(silence.look(0), 35_000);
  silence.heard(10_000);
  assert.equal(silence.look(35_000), 45_000);
  assert.equal(silence.look(45_003), undefined);
});

test("an application that was away gets one grace", () => {
  const silence = new Silence(15_000, 5000, 0);
  assert.equal(silence.look(100_000), 101_000);
  assert.equal(silence.look(105_000), undefined, "no second one");
  silence.heard(105_000);
  assert.equal(silence.look(150_000), 151_000, "but a new one after a frame");
});

test("absurd intervals are bounded", () => {
  assert.equal(new Silence(Infinity, 1000, 0).patience, 2 * 3_600_000 + 1000);
});

test("a credential is renewed when a fifth of its life is left, and at most a minute before its end", () => {
  for (const [left, due] of [[10_000, 8000], [300_000, 240_000], [3_600_000, 3_540_000], [0, 0], [-5000, 0]]) {
    assert.equal(dueIn(1_000_000 + left, 1_000_000), due, `${left}`);
  }
});

test("the oldest is forgotten first", () => {
  const seen = new Seen();
  for (let seq = 0; seq <= CAPACITY; seq++) assert.ok(seen.insert(seq));
  assert.equal(seen.insert(1), false, "still remembered");
  assert.equal(seen.insert(0), true, "forgotten");
  seen.clear();
  assert.ok(seen.insert(1));
});

test("what was taken is acknowledged soon, and sooner if it is much", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const told = [];
  const acks = new Acks(4000, 1 << 20, (delivered) => told.push(delivered));
  acks.took(1, 10);
  acks.took(2, 10);
  acks.took(2, 0);
  assert.deepEqual(told, []);
  mock.timers.tick(200);
  assert.deepEqual(told, [2], "in a while, all at once");
  mock.timers.tick(1000);
  assert.deepEqual(told, [2], "and once");
  for (let n = 3; n <= 1002; n++) acks.took(n, 10);
  assert.deepEqual(told, [2, 1002], "a quarter of the frames");
  acks.took(1003, 1 << 18);
  assert.deepEqual(told, [2, 1002, 1003], "a quarter of the bytes");
  acks.took(1004, 1);
  acks.stop();
  mock.timers.tick(1000);
  assert.deepEqual(told, [2, 1002, 1003], "and nothing on a connection that is over");
  mock.timers.reset();
});
