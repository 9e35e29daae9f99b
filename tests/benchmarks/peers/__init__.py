"""The peers: what a shop would use instead. They run in an environment of their own (.venv)."""
