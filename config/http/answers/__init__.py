"""Writing an answer: bodies, problems, pages, entity tags."""
