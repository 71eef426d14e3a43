"""The OpenAPI document of the JSON API, with the errors that every route may answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `detail` says what happened and what to do next.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
            },
        },
    },
}
ERRORS = (400, 401, 403, 404, 409, 413, 422, 429, 503)
_METHODS = {"get", "put", "post", "delete", "patch"}


def described(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the JSON API alone (pages are for people), and its errors as they are."""
    schemas = {
        name: schema
        for name, schema in document.get("components", {}).get("schemas", {}).items()
        if name not in {"HTTPValidationError", "ValidationError"}
    }
    paths = {}
    for path, operations in document["paths"].items():
        if path.startswith("/api/"):
            paths[path] = {
                method: _with_errors(operation) if method in _METHODS else operation
                for method, operation in operations.items()
            }
    components = {
        **document.get("components", {}),
        "schemas": {**schemas, "Problem": PROBLEM},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }
    return {**document, "paths": paths, "components": components, "security": [{"token": []}]}


def _with_errors(operation: dict[str, Any]) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    errors = {
        str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in ERRORS
    }
    return {**operation, "responses": {**operation["responses"], **errors}}
