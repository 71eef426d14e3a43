"""A new project from the form: checked first, then connected, made, filled and staffed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO

from integrations.label_studio.errors import LabelStudioError, LabelStudioRefused
from workbench.auth.domain import checked_email
from workbench.errors import AlreadyExists, InvalidInput, WorkbenchError
from workbench.items.service import save_upload
from workbench.items.uploads.files import upload_id_of
from workbench.outside import Outside
from workbench.people.invitations import invite_person
from workbench.people.service import connect_server
from workbench.people.store import pool_ids
from workbench.projects.pools import pools_of
from workbench.projects.problems import SpecificationInvalid
from workbench.projects.reading import read_document
from workbench.projects.specification import ProjectSpecification
from workbench.projects.store import find_project, project_with_key
from workbench.setup.form import NEW_SERVER, FormInvalid, NewProject, errors_by_field, quoted
from workbench.setup.service import ProjectSetUp, set_up_project


@dataclass(frozen=True)
class Invitation:
    """A link for one person, shown once."""

    name: str
    email: str
    link: str


@dataclass(frozen=True)
class Created:
    """A new project, and what is left to do.

    Attributes:
        done: What setting up said.
        invitations: Links to send; only their hashes are kept.
        upload_id: The uploaded file whose columns must be chosen; empty without file.
    """

    done: ProjectSetUp
    invitations: tuple[Invitation, ...]
    upload_id: str


class FormRefused(InvalidInput):
    """A form that cannot be used; `errors` holds a sentence by field."""

    def __init__(self, errors: dict[str, str]) -> None:
        self.errors = errors
        super().__init__(" ".join(errors.values()))


def create_from_form(
    outside: Outside,
    form: NewProject,
    by: str,
    *,
    may: frozenset[str],
    file: tuple[str, IO[bytes]] | None = None,
) -> Created:
    """The project that the form means.

    Args:
        outside: Database, clock, Label Studio.
        form: What was typed.
        by: Who asks.
        may: What they may do: nobody can invite somebody to more than they have.
        file: Name and content of an uploaded file.

    Raises:
        FormRefused: With a sentence for each field that cannot be used; nothing was made.
    """
    specification = checked(outside, form)
    if form.values["server"] == NEW_SERVER:
        _connect(outside, form, by)
    try:
        done = set_up_project(outside, specification, by, must_be_new=True)
    except AlreadyExists as problem:
        raise FormRefused({"key": quoted(str(problem))}) from None
    except WorkbenchError as problem:
        raise FormRefused({"": quoted(str(problem))}) from None
    with outside.db.read() as session:
        project = find_project(session, done.key)
        pool_id = pool_ids(session)[pools_of(specification)[0].key]
    upload_id, invitations = "", []
    if file is not None:
        upload_id = upload_id_of(Path(save_upload(outside, project.id, *file)))
    with outside.db.write() as session:
        for person in form.invited():
            made = invite_person(
                session,
                outside,
                email=person.email,
                name=person.name,
                pool_id=pool_id,
                project_id=project.id,
                server_id=project.server_id,
                by=by,
                may=may,
            )
            invitations.append(Invitation(person.name, person.email, made.link(outside.settings.address)))
    return Created(done, tuple(invitations), upload_id)


def checked(outside: Outside, form: NewProject) -> ProjectSpecification:
    """The form's document, if every field can be used.

    Raises:
        FormRefused: With a sentence for each field that cannot.
    """
    errors = _field_errors(form)
    try:
        specification = read_document(form.document())
    except FormInvalid as problem:
        raise FormRefused({problem.field: str(problem)} | errors) from None
    except SpecificationInvalid as problem:
        raise FormRefused(errors_by_field(problem.problems) | errors) from None
    with outside.db.read() as session:
        if project_with_key(session, specification.id) is not None:
            errors["key"] = f"There is a project {specification.id} already; choose another address"
    if errors:
        raise FormRefused(errors)
    return specification


def _field_errors(form: NewProject) -> dict[str, str]:
    errors: dict[str, str] = {}
    if not form.values["title"]:
        errors["title"] = errors["key"] = "Give the project a title"
    elif not form.key:
        errors["key"] = "Write an address of letters a to z, digits and hyphens, such as comment-safety"
    if form.values["server"] == NEW_SERVER:
        errors |= _server_fields(form)
    return errors | _people_errors(form)


def _people_errors(form: NewProject) -> dict[str, str]:
    try:
        for person in form.invited():
            try:
                checked_email(person.email)
            except InvalidInput as problem:
                return {"people": f"{person.email}: {problem}"}
    except FormInvalid as problem:
        return {problem.field: str(problem)}
    return {}


def _server_fields(form: NewProject) -> dict[str, str]:
    errors = {}
    if not form.values["server_name"]:
        errors["server_name"] = "Give the server a name"
    if not form.values["server_url"]:
        errors["server_url"] = "Write its address, such as http://127.0.0.1:8080"
    if not form.server_token:
        errors["server_token"] = "Paste the token from Label Studio: Account & Settings, Access Token"  # noqa: S105
    return errors


def _connect(outside: Outside, form: NewProject, by: str) -> None:
    try:
        connect_server(
            outside,
            name=form.values["server_name"],
            url=form.values["server_url"],
            token=form.server_token,
            by=by,
        )
    except LabelStudioRefused as problem:
        raise FormRefused({"server_token": str(problem)}) from None
    except (LabelStudioError, WorkbenchError) as problem:
        raise FormRefused({"server_url": str(problem)}) from None
