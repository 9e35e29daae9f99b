"""The pages of `docs/reference`, made from the code."""

from config.reference import commands, lifecycle


def pages() -> dict[str, str]:
    """Return every page in Markdown, by its path below `docs/reference`."""
    ours = commands.pages("ordering_write")
    command_pages = {f"commands/{name}": text for name, text in ours.items()}
    return {"lifecycle.md": lifecycle.page(), **command_pages}


def pages_of(package: str) -> dict[str, str]:
    """Return the pages of the commands of a shop's ``package``, by their paths."""
    return {f"commands/{name}": text for name, text in commands.pages(package).items()}
