"""Pictures ↔ bytes, through a model's codes: whole numbers, their tables, an entropy coder, a file."""
