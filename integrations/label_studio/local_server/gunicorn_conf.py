"""How gunicorn runs the local Label Studio; values come from the environment."""

import os
import signal
import threading
import time
from typing import Any

bind = os.environ["WORKBENCH_LS_BIND"]
workers = int(os.environ["WORKBENCH_LS_WORKERS"])
threads = 4
worker_class = "gthread"
timeout = 600
graceful_timeout = 5
keepalive = 30
preload_app = True
umask = 0o077
accesslog = None
errorlog = "-"
loglevel = "warning"
control_socket_disable = True


def when_ready(server: Any) -> None:
    """Stops the server when the process that started it has ended in any way.

    The kernel's own signal for this (PR_SET_PDEATHSIG) watches a thread and not a process: a server started
    from a job's thread would be killed as soon as that thread ended.
    """
    parent = int(os.environ.get("WORKBENCH_LS_PARENT", "0"))
    if not parent:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        server.log.warning("the process that started this server has ended, so the server stops too")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="watch-parent").start()
