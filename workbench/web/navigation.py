"""The menu beside every page: what this person may open."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from workbench.web.current import ProjectRef, User, project_of, user_of


@dataclass(frozen=True)
class Entry:
    """One line of the menu."""

    title: str
    href: str
    permission: str
    current: bool = False


@dataclass(frozen=True)
class Group:
    """Some lines under one heading."""

    title: str
    entries: list[Entry]


_EVERYWHERE = (
    Entry("Projects", "/projects", "projects.read"),
    Entry("Overview", "/supplier", "own_supplier.read"),
    Entry("Our people", "/supplier/people", "own_supplier.read"),
    Entry("My work", "/work", "work"),
    Entry("Label Studio", "/servers", "servers.read"),
    Entry("Suppliers", "/suppliers", "suppliers.read"),
    Entry("Users", "/users", "users.edit"),
    Entry("Activity", "/activity", "activity.read"),
    Entry("Operations", "/operations", "operations.read"),
)
_IN_PROJECT = (
    Entry("Overview", "", "projects.read"),
    Entry("Items", "/items", "items.read"),
    Entry("Import", "/import", "items.import"),
    Entry("People", "/people", "people.read"),
    Entry("Models", "/models", "models.read"),
    Entry("Routing", "/routing", "routing.read"),
    Entry("Exports", "/exports", "exports.read"),
    Entry("Jobs", "/jobs", "jobs.read"),
    Entry("Activity", "/activity", "activity.read"),
    Entry("Settings", "/settings", "projects.edit"),
)


def navigation(request: Request) -> list[Group]:
    """The groups of the menu, without what this person may not open."""
    user = user_of(request)
    if user is None:
        return []
    path = request.url.path
    project = project_of(request)
    top = [
        _shown(entry, "", path, deep=project is None and entry.href != "/supplier")
        for entry in _EVERYWHERE
        if user.may(entry.permission) and (user.leads or not entry.permission.startswith("own_supplier."))
    ]
    groups = [Group("", top)]
    if project is not None:
        groups.append(_project_group(user, project, path))
    return [group for group in groups if group.entries]


def _project_group(user: User, project: ProjectRef, path: str) -> Group:
    base = f"/projects/{project.key}"
    entries = [
        _shown(entry, base, path, deep=entry.href != "")
        for entry in _IN_PROJECT
        if user.may(entry.permission)
    ]
    return Group(project.title, entries)


def _shown(entry: Entry, base: str, path: str, *, deep: bool) -> Entry:
    href = base + entry.href
    current = path == href or (deep and path.startswith(href + "/"))
    return Entry(entry.title, href, entry.permission, current)
