// Holds the files of an Actor's folder against the platform's own schemas, by the packages of those who wrote them.
//
// Takes the folder; prints one line for each fault, {"file", "message"}, and last {"files"}, how many were looked at.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// The packages are installed in the target folder, which NODE_PATH names; `import` does not look there.
const require = createRequire(import.meta.url);
const schemas = await import(pathToFileURL(require.resolve("@apify/json_schemas")));
const { validateInputSchema } = require("@apify/input_schema");
const Ajv = require("ajv/dist/2019").default;

const folder = join(process.argv[2], ".actor");
const read = (file) => JSON.parse(readFileSync(join(folder, file), "utf8"));
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const validators = {
  "actor.json": schemas.getActorSchemaValidator(),
  "input_schema.json": schemas.getInputSchemaValidator(),
  "dataset_schema.json": schemas.getDatasetSchemaValidator(),
  "output_schema.json": schemas.getOutputSchemaValidator(),
};
for (const [file, validate] of Object.entries(validators)) {
  if (validate(read(file))) continue;
  for (const { instancePath, message } of validate.errors) say({ file, message: `${instancePath} ${message}` });
}
try {
  // What defaults, editors and titles have to be, beyond the schema.
  validateInputSchema(new Ajv({ strict: false }), read("input_schema.json"));
} catch (error) {
  say({ file: "input_schema.json", message: error.message });
}
say({ files: Object.keys(validators).length });
