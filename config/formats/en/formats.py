"""Date and time formats: the day unmistakable, the time with its zone."""

DATE_FORMAT = "j M Y"
DATETIME_FORMAT = "j M Y, H:i:s T"
