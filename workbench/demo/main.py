"""`workbench demo`: one project, end to end, on real texts and a real Label Studio."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integrations.label_studio.server import stop as stop_label_studio
from workbench.adapters import label_studio_clients
from workbench.db import migrate
from workbench.demo import children, stages
from workbench.demo.dataset import choose, fetch, load
from workbench.demo.narration import Narrator
from workbench.demo.secrets import FILE, PEOPLE, SignIns, email_of
from workbench.errors import InvalidInput
from workbench.outside import Outside, outside_of
from workbench.overview.figures import project_figures
from workbench.people.store import servers
from workbench.processes import Lock, check_port
from workbench.projects.store import find_project
from workbench.settings import load_settings

SEED = 1
FIRST_SHARE = 6
"""One text in so many is labelled by people before there is a model."""


@dataclass(frozen=True)
class DemoOptions:
    """What may be chosen of a demo."""

    exit_when_done: bool = False
    as_json: bool = False
    fresh: bool = False
    items: int = 2400
    port: int = 8000
    label_studio_port: int = 8080
    data_dir: Path = Path("data/demo")


def run_demo(options: DemoOptions) -> int:
    """Run the demo; stays up until Ctrl-C unless told to end. Returns the exit status.

    Raises:
        Conflict: A port is taken, or a demo runs on this folder.
        Unavailable: Something the demo needs did not start.
    """
    # A shell that starts it in the background has SIGINT ignored; Ctrl-C and kill end it all the same.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _as_interrupt)
    folder = options.data_dir.resolve()
    narrator = Narrator()
    with ExitStack() as stack:
        check_port("127.0.0.1", options.port, "--port")
        check_port("127.0.0.1", options.label_studio_port, "--label-studio-port")
        if options.fresh:
            _start_over(folder)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "logs").mkdir(exist_ok=True)
        lock = Lock(folder / "demo.lock", "`workbench demo`")
        stack.callback(lock.release)
        figures = _play(options, folder, narrator, stack)
        if options.as_json:
            sys.stdout.write(json.dumps(figures) + "\n")
            sys.stdout.flush()
        if options.exit_when_done:
            narrator.say("done; stopping everything")
            return 0
        _show_doors(options, SignIns.of_folder(folder), figures, narrator)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            narrator.say("stopping everything; the next `make demo` goes on from here")
    return 0


def _play(options: DemoOptions, folder: Path, narrator: Narrator, stack: ExitStack) -> dict[str, Any]:
    sign_ins = SignIns.of_folder(folder)
    narrator.say("texts and ratings: vaderSentiment 3.2.1 (Hutto & Gilbert 2014)")
    archive = fetch(children.CACHE / "demo")
    texts = choose(load(archive), options.items, seed=SEED, sources=["social posts"], min_ratings=len(PEOPLE))
    first = len(texts) // FIRST_SHARE

    narrator.say("starting Label Studio")
    label_studio = children.start_label_studio(
        folder, options.label_studio_port, sign_ins, workbench=f"http://127.0.0.1:{options.port}"
    )
    stack.callback(stop_label_studio, label_studio.pid)
    narrator.say(f"Label Studio answers at {label_studio.url}")

    settings = load_settings(data_dir=folder, port=options.port, poll_seconds=1.0)
    migrate.upgrade(settings)
    workbench = children.start_workbench(settings)
    stack.callback(children.stop, workbench)
    narrator.say(f"the workbench answers at {settings.address}")
    outside = outside_of(settings, label_studio=label_studio_clients(settings))
    stack.callback(outside.db.close)

    run = stages.Run(outside, narrator, sign_ins, folder)
    stages.set_up(run, label_studio.url)
    narrator.say(f"project set up, {len(PEOPLE)} people invited")
    stages.bring_in(run, texts[:first], "first.csv")
    run.replays = children.Replays(label_studio.url, archive, folder, sign_ins)
    stack.callback(run.replays.stop)
    stages.wait_until_resolved(run, f"People label the first {first:,} texts, without a model", first)
    stages.train(run)
    stages.bring_in(run, texts[first:], "rest.csv")
    stages.wait_until_resolved(
        run, "The model labels what it is sure of, people the rest and a secret audit", len(texts)
    )
    run.replays.stop()
    stages.wait_until_all_is_read(run)
    stages.export(run)
    return _figures(outside, narrator)


def _figures(outside: Outside, narrator: Narrator) -> dict[str, Any]:
    with outside.db.read() as session:
        project = find_project(session, stages.PROJECT)
        figures = project_figures(session, project, outside.now()).headline()
        server = next(row for row in servers(session) if row.id == project.server_id)
    return {
        **figures,
        "label_studio_version": server.version,
        "seconds": round(narrator.elapsed(), 1),
    }


def _show_doors(options: DemoOptions, sign_ins: SignIns, figures: dict[str, Any], narrator: Narrator) -> None:
    alpha = figures["agreement_alpha"]
    narrator.say(
        f"{figures['resolved']:,} of {figures['items']:,} items have a final label: "
        f"{figures['accepted']:,} by the machine, the rest by {figures['annotators']} people "
        f"in {figures['annotations_received']:,} answers; agreement alpha "
        f"{'not enough answers' if alpha is None else f'{alpha:.2f}'}"
    )
    lines = [
        "",
        f"  Workbench      http://127.0.0.1:{options.port}/projects/{stages.PROJECT}",
        f"  Label Studio   http://127.0.0.1:{options.label_studio_port}",
        f"  admin          {sign_ins.admin_email}  {sign_ins.admin_password}   (both places)",
        f"  annotator      {email_of(PEOPLE[0])}  {sign_ins.password}   (both places; opens My work)",
        "",
        "  Move the threshold on the Routing page, or label by hand. Ctrl-C stops everything.",
        "",
    ]
    sys.stderr.write("\n".join(lines) + "\n")


def _start_over(folder: Path) -> None:
    """Remove a demo's folder, and only that."""
    if not folder.exists():
        return
    foreign = {path.name for path in folder.iterdir()} - {"demo.lock", "logs"}
    if foreign and not (folder / FILE).exists():
        raise InvalidInput(f"{folder} is not a demo's folder; --fresh only removes what a demo made")
    Lock(folder / "demo.lock", "`workbench demo`").release()
    shutil.rmtree(folder)


def _as_interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
