"""The read side as a Django app."""

from django.apps import AppConfig


class OrderingReadConfig(AppConfig):
    name = "ordering_read"
    verbose_name = "Read side"

    def ready(self) -> None:
        # Imported here: these modules need the models. The projections register themselves.
        from ordering_read import projections  # noqa: F401
