// Where things are. STANDPIPE_REPOSITORY names the repository, where this package is a copy outside of it.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of this package. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export const repository = process.env.STANDPIPE_REPOSITORY ?? join(root, "../..");
