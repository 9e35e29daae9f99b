"""Errors of the archive; each message says what a person can do."""


class ArchiveError(Exception):
    """The archive can't be written or read."""


class PackagesMissingError(ArchiveError):
    """The archive needs the packages of requirements-archive.txt: install them by pip."""


class NoArchiveError(ArchiveError):
    """Name a folder or an object storage for the archive in ARCHIVE_URL."""


class StorageError(ArchiveError):
    """A file of the archive can't be read or written."""


class ArchiveBusyError(ArchiveError):
    """Another process is writing the archive, detaches events or attaches them."""


class DetachedError(ArchiveError):
    """Events have left the database, which only these files have: manage.py attach, first."""


class UnprovenError(ArchiveError):
    """A file doesn't prove itself, so that no event of it leaves the database or returns."""


class ArchiveDivergesError(ArchiveError):
    """The files at ARCHIVE_URL aren't those of this log."""


class NothingArchivedError(ArchiveError):
    """Nothing is archived yet: manage.py archive"""


class QueryError(ArchiveError):
    """A statement can't be carried out on the archive."""
