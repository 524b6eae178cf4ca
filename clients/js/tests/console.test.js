// The page at `/` brings this client along, as it is.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { brought, bundled } from "./support/console.js";

test("the server's console has this very client", async () => {
  const is = readFileSync(brought, "utf8") === (await bundled());
  assert.ok(is, "another one: `npm run console` in clients/js puts this one there");
});
