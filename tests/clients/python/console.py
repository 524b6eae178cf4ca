"""Runs the code that the console says to paste, as it stands, from the environment's STANDPIPE_PASTED."""

import os

exec(compile(os.environ["STANDPIPE_PASTED"], "pasted", "exec"))
