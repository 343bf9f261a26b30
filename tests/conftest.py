"""Being here puts this folder on the path, so that tests in folders below can share its helpers."""

import os

os.environ["CASHWRAP_CONSOLE"] = "0"  # a process more for each server of a test; those about the console ask for it
