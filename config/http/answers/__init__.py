"""Writing an answer: bodies, problems, pages, tags of versions."""
