"""The only HTTP: collect, decide, administration and the browser SDK over one ASGI application."""
