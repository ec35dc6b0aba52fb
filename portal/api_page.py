"""The page that describes the API, made from the same schema as openapi.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from portal.api import api

TYPES = {"string": "text", "boolean": "true or false", "integer": "number", "null": ""}


@dataclass(frozen=True)
class Parameter:
    """One thing that a route takes."""

    name: str
    where: str
    kind: str
    required: bool


@dataclass(frozen=True)
class Route:
    """One operation."""

    method: str
    path: str
    text: str
    parameters: list[Parameter]


def description(request: HttpRequest) -> HttpResponse:
    """All routes with what they take."""
    schema = api.get_openapi_schema(path_params={})
    routes = [
        Route(method.upper(), path, operation.get("description", ""), _parameters(operation, schema))
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    ]
    context = {"routes": routes, "example": f"{settings.STOREKEEPER_URL}{reverse('api:certificates')}"}
    return render(request, "portal/api.html", context)


def _parameters(operation: dict[str, Any], schema: dict[str, Any]) -> list[Parameter]:
    found = [
        Parameter(one["name"], one["in"], _kind(one["schema"], schema), one.get("required", False))
        for one in operation.get("parameters", [])
    ]
    body = (
        operation.get("requestBody", {}).get("content", {}).get("multipart/form-data", {}).get("schema", {})
    )
    required = body.get("required", [])
    return found + [
        Parameter(name, "form", _kind(one, schema), name in required)
        for name, one in body.get("properties", {}).items()
    ]


def _kind(one: dict[str, Any], schema: dict[str, Any]) -> str:
    """What a value looks like, in words."""
    if "enum" in one:
        return " or ".join(one["enum"])
    if "anyOf" in one:
        return " or ".join(filter(None, (_kind(each, schema) for each in one["anyOf"])))
    return {"binary": "file", "date-time": "instant, ISO 8601"}.get(
        one.get("format", ""), TYPES.get(one.get("type", ""), "")
    )
