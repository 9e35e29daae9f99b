"""Date and time formats: the day unmistakable, the time in the zone that the footer names."""

DATE_FORMAT = "j M Y"
DATETIME_FORMAT = "j M Y, H:i:s"
