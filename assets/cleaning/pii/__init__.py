"""Personal data: finding it by patterns, checksums and the words around it, and replacing it by stable pseudonyms."""
