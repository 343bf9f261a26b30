"""Who works here: accounts, passwords, second factors, sessions, and the ways to sign in."""
