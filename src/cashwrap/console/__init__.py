"""The console: the shop's people at work. A process of its own beside the server; START HERE: ``app.py``."""
