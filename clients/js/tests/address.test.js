// Addresses as people write them, and what is asked for, as a URL.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { requestOf, urlOf } from "../dist/address.js";
import { Client } from "../dist/index.js";
import { repository } from "./support/paths.js";

const table = JSON.parse(readFileSync(join(repository, "tests/clients/addresses.json"), "utf8"));

const urlFor = (options, after, resume) => urlOf(requestOf(options), after, resume);

test("addresses are read as people write them", () => {
  for (const [url, expected] of table.read) assert.equal(urlFor({ url }), expected, url);
});

test("what is no address is refused with what would be right", () => {
  for (const [url] of table.refused) {
    const isTold = ({ name, message }) =>
      name === "TypeError" && /is no address like|is no cursor/.test(message) && !message.includes("hunter2");
    assert.throws(() => new Client({ url }), isTold, url);
  }
});

test("everything that can be asked for stands in the URL", () => {
  const url = urlFor(
    {
      url: "h?token=x",
      topics: ["trades.>", "a.*"],
      where: { "author.in": ["a b", "c,d", "é"], $key: "1+1=2&x", "n.gte": 5, ok: true },
      params: { page_url: "https://x/?a=1" },
      filter: { n: { gt: 1 } },
      snapshot: true,
      conflate: true,
      overflow: "catch_up",
      onGap: "fail",
      confirm: "ack",
    },
    "9f00000000000001:17:t:1",
    "secret",
  );
  const decoded = [...new URL(url).searchParams];
  assert.deepEqual(decoded, [
    ["token", "x"],
    ["topics", "trades.>,a.*"],
    ["where.author.in", "a b,c,d,é"],
    ["where.$key", "1+1=2&x"],
    ["where.n.gte", "5"],
    ["where.ok", "true"],
    ["page_url", "https://x/?a=1"],
    ["filter", '{"n":{"gt":1}}'],
    ["snapshot", "1"],
    ["conflate", "1"],
    ["overflow", "catch_up"],
    ["on_gap", "fail"],
    ["confirm", "ack"],
    ["after", "9f00000000000001:17:t:1"],
    ["resume", "secret"],
  ]);
  assert.ok(url.includes("where.author.in=a%20b,c%2Cd,%C3%A9"), "a comma of a value is not one between values");
});

test("a cursor in the address is where delivery begins, and one in the options goes before it", () => {
  const url = "ws://h/ws?topics=a&after=9f00000000000001:17:t%3A1&snapshot=1";
  assert.equal(requestOf({ url }).after, "9f00000000000001:17:t:1");
  assert.equal(requestOf({ url, after: "earliest" }).after, "earliest");
  assert.equal(urlFor({ url }), "ws://h/ws?topics=a&snapshot=1");
});

test("an address selects by its path or by its query", () => {
  const selects = (url) => requestOf({ url }).selects;
  for (const [url, events] of table.selects) assert.equal(selects(url).events, events, url);
  assert.equal(selects("h?topics=a&conflate=1").conflated, true);
  assert.equal(selects("h?topics=a&conflate=0").conflated, false);
  assert.equal(requestOf({ url: "h", topics: [] }).selects.events, false);
});
