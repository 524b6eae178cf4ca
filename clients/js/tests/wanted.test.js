// What an application selected by commands, and how it is said again.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Wanted } from "../dist/wanted.js";

const MAIN = "00000000000000aa:50";

const ask = (wanted, topics, filter, after) => wanted.add({ topics, filter: filter && { n: filter }, after }).id;

function again(wanted, main) {
  return wanted.again(main, () => {}).map(({ topics, filter, after }) => {
    return `${topics}${filter ? ` where ${filter.n}` : ""}${after ? ` after ${after}` : ""}`;
  });
}

test("equal terms share a command", () => {
  const wanted = new Wanted();
  for (const topics of [["a", "b"], ["c"]]) wanted.taken(ask(wanted, topics), false);
  assert.deepEqual(again(wanted, MAIN), [`a,b,c after ${MAIN}`]);
});

test("the order of the names of params makes no difference", () => {
  const wanted = new Wanted();
  for (const params of [{ x: "1", y: "2" }, { y: "2", x: "1" }]) wanted.taken(wanted.add({ topics: ["a"], params }).id, false);
  assert.deepEqual(again(wanted, MAIN), [`a after ${MAIN}`]);
  wanted.remove(["a"], { y: "2", x: "1" });
  assert.deepEqual(again(wanted, MAIN), []);
});

test("who is not answered yet begins at the head again", () => {
  const wanted = new Wanted();
  wanted.taken(ask(wanted, ["a"]), true);
  ask(wanted, ["b"]);
  assert.deepEqual(again(wanted, MAIN), [`a after ${MAIN}`, "b"]);
});

test("the main line is said first", () => {
  const wanted = new Wanted();
  ask(wanted, ["a"], 1, "earliest");
  wanted.taken(ask(wanted, ["b"], 2), true);
  assert.deepEqual(again(wanted, MAIN), [`b where 2 after ${MAIN}`, "a where 1 after earliest"]);
});

test("a refused replacement leaves the old subscription", () => {
  const wanted = new Wanted();
  wanted.taken(ask(wanted, ["a"], 1), true);
  wanted.refused(ask(wanted, ["a"], 2));
  assert.deepEqual(again(wanted, MAIN), [`a where 1 after ${MAIN}`]);
});

test("a taken replacement replaces", () => {
  const wanted = new Wanted();
  wanted.taken(ask(wanted, ["a", "b"], 1), true);
  wanted.taken(ask(wanted, ["a"], 2), false);
  assert.deepEqual(again(wanted, MAIN), [`b where 1 after ${MAIN}`, `a where 2 after ${MAIN}`]);
});

test("a replacement that is not answered yet is said behind what it replaces", () => {
  const wanted = new Wanted();
  wanted.taken(ask(wanted, ["b", "a"], 1), true);
  ask(wanted, ["a"], 1, MAIN);
  assert.deepEqual(again(wanted, MAIN), [`b,a where 1 after ${MAIN}`, `a where 1 after ${MAIN}`]);
});

test("a refused subscription is not said again", () => {
  const wanted = new Wanted();
  wanted.refused(ask(wanted, ["a"]));
  assert.deepEqual(again(wanted, MAIN), []);
});

test("what was unsubscribed is not said again", () => {
  const wanted = new Wanted();
  wanted.taken(ask(wanted, ["a", "b"]), true);
  wanted.remove(["a"]);
  assert.deepEqual(again(wanted, MAIN), [`b after ${MAIN}`]);
});

test("who waits for an answer learns under which name it comes now", () => {
  const wanted = new Wanted();
  const [first, second] = [ask(wanted, ["a"]), ask(wanted, ["b"])];
  const names = new Map();
  const [{ id }] = wanted.again(undefined, (before, now) => names.set(before, now));
  assert.deepEqual([...names], [[first, id], [second, id]]);
});
