"""Selections of published rows that several stages make; each stands in parentheses after FROM or JOIN."""

# Clean documents in their newest revisions.
NEWEST_DOCUMENTS_SQL = """
SELECT * FROM clean_documents QUALIFY row_number() OVER (PARTITION BY source, external_id ORDER BY revision DESC) = 1
"""
# Documents with the vectors that `$base_model` made of them; its fingerprint may change, its name must not.
EMBEDDINGS_SQL = "SELECT document_id, embedding FROM document_embeddings WHERE starts_with(encoder, $base_model || '@')"
