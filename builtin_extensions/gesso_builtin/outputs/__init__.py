"""How pictures are written: formats, file-name tokens, settings."""
