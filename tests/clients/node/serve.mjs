// Files over HTTP, for a page of the tests: on a free port of this machine.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, normalize } from "node:path";

const TYPES = { ".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript" };

/** Answers with the file that `find` says lies at a path; where there is none, nothing is there. */
export async function serve(find) {
  const server = createServer(async ({ url }, answer) => {
    try {
      const file = find(normalize(new URL(url, "http://h").pathname));
      const content = await readFile(file);
      answer.setHeader("content-type", TYPES[extname(file)]).end(content);
    } catch {
      answer.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
