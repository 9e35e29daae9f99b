"""How dates and times are written: the day unmistakably, the time with its zone."""

DATE_FORMAT = "j M Y"
DATETIME_FORMAT = "j M Y, H:i:s T"
