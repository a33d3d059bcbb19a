"""Files: atomic writes, saved embeddings, tables of data."""
