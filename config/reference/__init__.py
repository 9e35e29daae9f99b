"""The pages of `docs/reference`, which are written from the code."""

from config.reference import commands, lifecycle


def pages() -> dict[str, str]:
    """Every page in Markdown, by its path below `docs/reference`."""
    of_commands = {f"commands/{name}": text for name, text in commands.pages().items()}
    return {"lifecycle.md": lifecycle.page(), **of_commands}
