// Our JavaScript client as a program, driven by the table of scenarios.
//
// One argument: a JSON object with the options of the client. Standard input takes commands, standard output tells what
// happens, one JSON object a line; the end of the input closes the client. Written together with ../python/follow.py.
//
// STANDPIPE_JS names the folder of the package, which holds its `dist`: target/clients/js, where the test command builds it, or
// any folder into which its tarball was unpacked.

import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

import { follow } from "./following.mjs";

const { Client } = await import(pathToFileURL(join(process.env.STANDPIPE_JS, "dist/node/index.js")));
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const { act, ended } = follow(Client, JSON.parse(process.argv[2]), say);
const input = createInterface({ input: process.stdin });
input.on("line", (line) => void act(JSON.parse(line)));
input.on("close", () => void act({ do: "close" }));
await ended;
input.close();
process.stdin.destroy();
