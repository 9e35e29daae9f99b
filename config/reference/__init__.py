"""The pages of `docs/reference`, made from the code."""

from config.reference import commands, lifecycle


def pages() -> dict[str, str]:
    """Return every page in Markdown, by its path below `docs/reference`."""
    command_pages = {f"commands/{name}": text for name, text in commands.pages().items()}
    return {"lifecycle.md": lifecycle.page(), **command_pages}
