// Chromium without a window, driven by `playwright-core`.
//
// Every name in `.example` is this machine for it, whoever it may belong to elsewhere; no other name is looked up.

import { createRequire } from "node:module";

// The packages are installed in the target folder, which NODE_PATH names; `import` does not look there.
const { chromium } = createRequire(import.meta.url)("playwright-core");

/** A browser that was never anywhere. */
export const launch = (executablePath) =>
  chromium.launch({
    executablePath,
    chromiumSandbox: false,
    args: [
      "--host-resolver-rules=MAP *.example 127.0.0.1, MAP localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
      "--disable-gpu",
      "--disable-quic",
      "--disable-sync",
    ],
  });
