"""Collection: from channels to immutable raw bytes and one row per document and revision."""
