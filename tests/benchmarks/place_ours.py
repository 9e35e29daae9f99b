"""A contestant: places orders of three lines by the command bus of the service."""

import django

from tests.benchmarks.contestant import LINES, serve


def main() -> None:
    django.setup()
    from tests.benchmarks.shop import Shop

    assert LINES == 3, "the race is about orders of three lines"
    shop = Shop()
    shop.place()
    serve(shop.place)


if __name__ == "__main__":
    main()
