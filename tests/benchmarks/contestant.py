"""The part that all contestants of a race share, in this environment and in that of the peers.

A contestant is a process of its own. It reads lines of standard input, each a word and a number:
``prepare 20`` is answered by ``ready``, and ``run 20`` by the processor time of the run.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

ADDRESS = {
    "name": "Robin Sample",
    "line1": "1 Example Street",
    "city": "Sampleton",
    "postal_code": "12345",
    "country": "ES",
}
PRODUCTS = 20
LINES = 3
QUANTITY = 2
PRICE = "19.90"

Product = TypeVar("Product")


def picked(products: Sequence[Product], number: int) -> list[Product]:
    """Return the products of the lines of the order with this number."""
    first = number * LINES
    return [products[(first + line) % len(products)] for line in range(LINES)]


def serve(run: Callable[[int], object], *, prepare: Callable[[int], object] | None = None) -> None:
    """Answer the lines of standard input until it ends; only ``run`` is measured."""
    # As rare as in the processes of the service.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)
    for line in sys.stdin:
        word, number = line.split()
        if word == "prepare":
            if prepare:
                prepare(int(number))
            print("ready", flush=True)
        else:
            began = time.process_time()
            run(int(number))
            print(json.dumps({"own": time.process_time() - began}), flush=True)
