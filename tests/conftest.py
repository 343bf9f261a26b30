"""Being here puts this folder on the path, so that tests in folders below can share its helpers."""
