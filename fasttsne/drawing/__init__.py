"""How embeddings are drawn: colors, figures, HTML files, animation frames and files."""
