// The cursor rule as tables: what a client is told, and from where it resumes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { cursorOf, textOf } from "../dist/cursor.js";
import { Resume } from "../dist/resume.js";

const EPOCH = "00000000000000aa";
const OTHER = "00000000000000bb";

// What happens on a connection, in the short form of the tables; `n` counts the commands of this connection.
const subscribed = (seq) => (resume) => resume.subscribed(undefined, seq);
const taken = (n, seq) => (resume, ids) => resume.subscribed(ids[n], seq);
const event = (seq, id) => (resume) => assert.equal(resume.event(seq, id), true, `${seq} is new`);
const repeat = (seq) => (resume) => assert.equal(resume.event(seq), false, `${seq} is a repeat`);
const replay = (resume) => resume.replay();
const replayed = (n) => (resume, ids) => resume.replayed(ids[n]);
const heartbeat = (cursor) => (resume) => resume.told(cursorOf(cursor));
const gap = (resume) => resume.gap();
const shown = (resume) => resume.snapshotEnd();
const shownTo = (n) => (resume, ids) => resume.snapshotEnd(ids[n]);

/** Opens a connection, tells all of it, and returns what was said at its beginning. */
function connection(resume, epoch, told) {
  const said = resume.welcome(epoch);
  const ids = said.map(({ id }) => id);
  for (const tell of told) tell(resume, ids);
  return said.map(({ topics, after }) => `${topics} after ${after ?? "head"}`);
}

const cursor = (resume) => (resume.cursor() ? textOf(resume.cursor()) : "head");
const byUrl = (after) => new Resume({ events: true, conflated: false, snapshot: false }, after);
const byCommands = () => new Resume({ events: false, conflated: false, snapshot: false });

test("the resumable cursor is the last event, or what was told later", () => {
  for (const [after, told, expected] of [
    [undefined, [], "head"],
    ["earliest", [], "earliest"],
    // Nobody said where to begin: `subscribed` does.
    [undefined, [subscribed(7)], "00000000000000aa:7"],
    // Somebody did: `subscribed` is a boundary, not a place up to which anything was delivered.
    ["earliest", [subscribed(7)], "earliest"],
    ["00000000000000aa:3", [subscribed(7)], "00000000000000aa:3"],
    [undefined, [subscribed(7), event(8), event(12)], "00000000000000aa:12"],
    [undefined, [subscribed(7), event(8, "t:8")], "00000000000000aa:8:t:8"],
    [undefined, [subscribed(7), event(8), heartbeat("00000000000000aa:10")], "00000000000000aa:10"],
    // An earlier or equal one tells nothing new, and the event's own id is worth more.
    [undefined, [subscribed(7), event(8, "t:8"), heartbeat("00000000000000aa:8")], "00000000000000aa:8:t:8"],
    [undefined, [subscribed(7), event(8), heartbeat("00000000000000aa:5")], "00000000000000aa:8"],
    // Up to the later place nothing matched, so the last event's id still finds it in another log.
    [undefined, [subscribed(7), event(8, "t:8"), heartbeat("00000000000000aa:10")], "00000000000000aa:10:t:8"],
    [undefined, [subscribed(7), event(8, "t:8"), heartbeat("00000000000000aa:10:x")], "00000000000000aa:10:x"],
    // Before anything is selected, the head says nothing about what will be.
    ["00000000000000aa:3", [heartbeat("00000000000000aa:10")], "00000000000000aa:3"],
    // Of another log than the connection's.
    [undefined, [subscribed(7), heartbeat("00000000000000bb:10")], "00000000000000aa:7"],
    // In brackets the main cursor stands still.
    [undefined, [subscribed(7), event(8), replay, event(1), event(9), replayed(0), event(10)], "00000000000000aa:10"],
    [undefined, [subscribed(7), event(8), replay, event(9)], "00000000000000aa:8"],
  ]) {
    const resume = byUrl(after);
    // Something to name the bracket by.
    resume.subscribe({ topics: ["a"], after: "earliest" });
    connection(resume, EPOCH, told);
    assert.equal(cursor(resume), expected);
  }
});

test("an event that comes again is a repeat", () => {
  const resume = byUrl();
  connection(resume, EPOCH, [subscribed(7), event(8), repeat(8), event(9), repeat(8), repeat(3)]);
  connection(resume, EPOCH, [subscribed(9), repeat(9), event(10)]);
  connection(resume, EPOCH, [subscribed(10), heartbeat("00000000000000aa:20"), repeat(20), event(21)]);
});

test("another epoch means other events", () => {
  const resume = byUrl();
  connection(resume, EPOCH, [subscribed(7), event(8, "t:8")]);
  assert.equal(resume.urlAfter(), "00000000000000aa:8:t:8");
  connection(resume, OTHER, [subscribed(900)]);
  assert.equal(cursor(resume), "00000000000000aa:8:t:8", "until the new log delivers, the old place is the right one");
  connection(resume, OTHER, [subscribed(900), event(2)]);
  assert.equal(cursor(resume), "00000000000000bb:2");
  connection(resume, OTHER, [subscribed(900), heartbeat("00000000000000bb:905")]);
  assert.equal(cursor(resume), "00000000000000bb:905");
});

test("an id too long for a cursor is left out", () => {
  for (const [id, fits] of [["x".repeat(960), true], ["x".repeat(961), false], ["é".repeat(481), false]]) {
    const resume = byUrl();
    connection(resume, EPOCH, [subscribed(7), event(8, id)]);
    assert.equal(cursor(resume), fits ? `00000000000000aa:8:${id}` : "00000000000000aa:8");
  }
});

test("under conflation only what is told moves the cursor", () => {
  const resume = new Resume({ events: true, conflated: true, snapshot: false });
  const told = [subscribed(7), event(15), event(11), repeat(15), heartbeat("00000000000000aa:12"), repeat(12), event(16)];
  connection(resume, EPOCH, told);
  assert.equal(cursor(resume), "00000000000000aa:12");
  // What came behind the cursor comes again, and is known.
  connection(resume, EPOCH, [subscribed(20), repeat(15), repeat(16), event(17)]);
});

test("what was conflated when it was queued is not lost with its subscription", () => {
  const resume = byCommands();
  resume.subscribe({ topics: ["a"], conflate: true });
  resume.subscribe({ topics: ["b"] });
  connection(resume, EPOCH, [taken(0, 7), taken(1, 7)]);
  resume.wanted.remove(["a"]);
  assert.equal(resume.event(15), true);
  assert.equal(resume.event(11), true);
});

test("commands of equal terms are said again as one", () => {
  const resume = byCommands();
  resume.subscribe({ topics: ["a"] });
  resume.subscribe({ topics: ["b"] });
  assert.deepEqual(connection(resume, EPOCH, [taken(0, 7), event(8)]), ["a,b after head"]);
  assert.deepEqual(connection(resume, EPOCH, []), ["a,b after 00000000000000aa:8"]);
  assert.equal(resume.urlAfter(), undefined);
});

test("a second command on a new connection gets a bracket, and its repeats are removed", () => {
  const resume = byCommands();
  resume.subscribe({ topics: ["a"] });
  resume.subscribe({ topics: [">"], snapshot: true });
  connection(resume, EPOCH, [taken(0, 7), taken(1, 7), event(8)]);
  const told = [taken(0, 12), event(9), taken(1, 12), replay, repeat(9), event(10), replayed(1), event(13)];
  assert.deepEqual(connection(resume, EPOCH, told), ["a after 00000000000000aa:8", "> after 00000000000000aa:8"]);
  assert.equal(cursor(resume), "00000000000000aa:13");
  assert.deepEqual(connection(resume, EPOCH, []), ["a after 00000000000000aa:13", "> after 00000000000000aa:13"]);
});

test("who is cut inside a bracket asks for the old place again", () => {
  const resume = byCommands();
  resume.subscribe({ topics: ["a"] });
  connection(resume, EPOCH, [taken(0, 7), event(8)]);
  const { id } = resume.subscribe({ topics: ["b"], after: "earliest" });
  resume.subscribed(id, 8);
  resume.replay();
  assert.equal(resume.event(1), true);
  let said = connection(resume, EPOCH, [taken(0, 9), event(9), taken(1, 9), replay, repeat(1), event(2)]);
  assert.deepEqual(said, ["a after 00000000000000aa:8", "b after earliest"]);
  said = connection(resume, EPOCH, [taken(0, 9), taken(1, 9), replay, repeat(1), repeat(2), event(3), replayed(1)]);
  assert.deepEqual(said, ["a after 00000000000000aa:9", "b after earliest"]);
  assert.deepEqual(connection(resume, EPOCH, []), ["a,b after 00000000000000aa:9"]);
});

test("the first command of all starts the main line at its own place", () => {
  const resume = byCommands();
  resume.subscribe({ topics: ["a"], after: "earliest" });
  assert.deepEqual(connection(resume, EPOCH, [taken(0, 7)]), ["a after earliest"]);
  assert.equal(cursor(resume), "earliest");
  assert.deepEqual(connection(resume, EPOCH, [taken(0, 7), event(1)]), ["a after earliest"]);
  assert.deepEqual(connection(resume, EPOCH, []), ["a after 00000000000000aa:1"]);
});

test("commands beside a URL get brackets", () => {
  const resume = byUrl();
  resume.subscribe({ topics: ["b"] });
  assert.deepEqual(connection(resume, EPOCH, [subscribed(7), taken(0, 7), event(8)]), ["b after head"]);
  assert.equal(resume.urlAfter(), "00000000000000aa:8");
  assert.deepEqual(connection(resume, EPOCH, []), ["b after 00000000000000aa:8"]);
});

test("a refused command is not said again", () => {
  const resume = byCommands();
  resume.subscribe({ topics: ["a"] });
  resume.wanted.refused(resume.subscribe({ topics: ["b"] }).id);
  assert.deepEqual(connection(resume, EPOCH, []), ["a after head"]);
});

test("within a snapshot by URL there is no place to resume", () => {
  for (const [after, told, expected] of [
    // Cut before or within the first one: it begins anew.
    [undefined, [subscribed(7)], "head"],
    [undefined, [subscribed(7), heartbeat("00000000000000aa:9")], "head"],
    [undefined, [subscribed(7), shown], "00000000000000aa:7"],
    [undefined, [subscribed(7), shown, heartbeat("00000000000000aa:9")], "00000000000000aa:9"],
    [undefined, [subscribed(7), shown, event(8)], "00000000000000aa:8"],
    // What can be resumed brings none.
    ["00000000000000aa:3", [subscribed(7), heartbeat("00000000000000aa:9")], "00000000000000aa:9"],
    ["00000000000000aa:3", [subscribed(7), event(5)], "00000000000000aa:5"],
    // Behind a gap one follows, and until it was shown the place before the gap is the one to ask for.
    ["00000000000000aa:3", [subscribed(7), gap], "00000000000000aa:3"],
    ["00000000000000aa:3", [subscribed(7), gap, heartbeat("00000000000000aa:9")], "00000000000000aa:3"],
    ["00000000000000aa:3", [subscribed(7), gap, shown, heartbeat("00000000000000aa:9")], "00000000000000aa:9"],
    [undefined, [subscribed(7), shown, event(8), gap, heartbeat("00000000000000aa:20")], "00000000000000aa:8"],
    [undefined, [subscribed(7), shown, event(8), gap, shown, event(21)], "00000000000000aa:21"],
    ["00000000000000bb:3", [subscribed(7), gap, heartbeat("00000000000000aa:9")], "00000000000000bb:3"],
  ]) {
    const resume = new Resume({ events: true, conflated: false, snapshot: true }, after);
    connection(resume, EPOCH, told);
    assert.equal(resume.urlAfter() ?? "head", expected);
    assert.equal(cursor(resume), expected);
  }
});

test("a first snapshot that was cut is shown anew from the place of the new connection", () => {
  const resume = new Resume({ events: true, conflated: false, snapshot: true });
  connection(resume, EPOCH, [subscribed(7)]);
  connection(resume, EPOCH, [subscribed(30), shown]);
  assert.equal(cursor(resume), "00000000000000aa:30");
});

test("a command is said without a place until its snapshot was shown", () => {
  const resume = byCommands();
  resume.subscribe({ topics: ["a"] });
  resume.subscribe({ topics: ["b"], snapshot: true });
  connection(resume, EPOCH, [taken(0, 7), event(8), taken(1, 8)]);
  const said = connection(resume, EPOCH, [taken(0, 9), taken(1, 9), shownTo(1)]);
  assert.deepEqual(said, ["a after 00000000000000aa:8", "b after head"]);
  const again = ["a after 00000000000000aa:8", "b after 00000000000000aa:8"];
  assert.deepEqual(connection(resume, EPOCH, []), again);
});

test("an event of the main line says that the snapshot is over", () => {
  const resume = byCommands();
  resume.subscribe({ topics: ["a"], snapshot: true });
  connection(resume, EPOCH, [taken(0, 7)]);
  assert.deepEqual(connection(resume, EPOCH, [taken(0, 9), event(10)]), ["a after head"]);
  assert.deepEqual(connection(resume, EPOCH, []), ["a after 00000000000000aa:10"]);
});
