// Holds an AsyncAPI document against its specification, by the parser of those who wrote that.
//
// Takes the file; prints one line for each thing that it says about it, {"severity", "path", "message"}. Severity 0 is an
// error, 1 a warning; what is above are hints.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The packages are installed in the target folder, which NODE_PATH names; `import` does not look there.
const { Parser } = createRequire(import.meta.url)("@asyncapi/parser");

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
for (const { severity, path, message } of diagnostics) {
  process.stdout.write(`${JSON.stringify({ severity, path: path.join("."), message })}\n`);
}
process.exit(document ? 0 : 1);
