"""One module per change, named by what it does; never edited once released."""
