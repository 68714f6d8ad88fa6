"""Storage: frozen data sets and the search index."""
