"""The version of the service: CHANGELOG.md lists the releases.

Its first number is that of the API, as in /api/v1: a release with another first number may change
answers that programs rely on.
"""

VERSION = "1.8.0"
