"""The settings of the peer's web server; the benchmark passes those of ours on its command line."""

import gc
from typing import Any

worker_class = "gthread"
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Collect garbage as rarely as the service does."""
    gc.freeze()
    gc.set_threshold(50_000)
