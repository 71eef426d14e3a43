"""The WSGI application of the local Label Studio, with its first account made for this data folder.

Run by Label Studio's own interpreter under gunicorn with `--preload`: the slow import and the first account
happen once, before the workers are forked. Run as a script with `migrate`, it makes the tables and ends.
"""

import os
import sys

# On the path from here and not from PYTHONPATH: the package's folder has a sitecustomize of its own.
sys.path.insert(0, os.environ["WORKBENCH_LS_PACKAGE"])

from django.conf import settings  # type: ignore[import-not-found]
from django.core.wsgi import get_wsgi_application  # type: ignore[import-not-found]
from workbench_ls_door import with_door  # type: ignore[import-not-found]

# IMMEDIATE: a transaction that reads first and writes later would otherwise fail at once with "database is
# locked" where it could wait. FULL would wait for the disk at every commit; what counts is in our database.
settings.DATABASES["default"]["OPTIONS"] = {
    "timeout": 30,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}
application = with_door(get_wsgi_application())
if os.environ.get("WORKBENCH_LS_RECEIVER"):
    from workbench_ls_hooks import let_through  # type: ignore[import-not-found]

    let_through(os.environ["WORKBENCH_LS_RECEIVER"])


def make_tables() -> None:
    """Applies every migration; half a minute on an empty folder, little on a prepared one."""
    from django.core.management import call_command  # type: ignore[import-not-found] # noqa: PLC0415

    call_command("migrate", "--no-color", verbosity=0)


def make_first_account() -> None:
    """Creates the organization and its owner from the environment, unless the folder has one already."""
    from django.db import connections, transaction  # type: ignore[import-not-found] # noqa: PLC0415
    from organizations.models import Organization  # type: ignore[import-not-found] # noqa: PLC0415
    from rest_framework.authtoken.models import Token  # type: ignore[import-not-found] # noqa: PLC0415
    from users.models import User  # type: ignore[import-not-found] # noqa: PLC0415

    if not Organization.objects.exists():
        with transaction.atomic():
            owner = User.objects.create_user(
                email=os.environ["WORKBENCH_LS_EMAIL"], password=os.environ["WORKBENCH_LS_PASSWORD"]
            )
            owner.is_staff = owner.is_superuser = True
            organization = Organization.create_organization(
                created_by=owner, title="Label Studio", legacy_api_tokens_enabled=True
            )
            owner.active_organization = organization
            owner.save()
            Token.objects.filter(user=owner).delete()
            Token.objects.create(user=owner, key=os.environ["WORKBENCH_LS_TOKEN"])
    # A connection must not be shared by the processes that are forked next.
    connections.close_all()


if __name__ == "__main__":
    if sys.argv[1:] == ["migrate"]:
        make_tables()
else:
    make_first_account()
    for name in ("WORKBENCH_LS_PASSWORD", "WORKBENCH_LS_TOKEN"):
        os.environ.pop(name, None)
