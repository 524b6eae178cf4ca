// The client as the server's console page brings it along: one script for browsers, which makes `standpipe` known.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { build } from "esbuild";

import { repository, root } from "./paths.js";

export const brought = join(repository, "crates/entry/src/console/standpipe.js");

export async function bundled() {
  const { outputFiles } = await build({
    entryPoints: [join(root, "dist/index.js")],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    globalName: "standpipe",
    platform: "browser",
    target: "es2022",
  });
  return outputFiles[0].text;
}

if (process.argv[2] === "--write" && import.meta.url === pathToFileURL(process.argv[1]).href) writeFileSync(brought, await bundled());
