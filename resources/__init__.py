"""The outside world: one module per external thing, named by its role. Nothing here knows the graph."""
