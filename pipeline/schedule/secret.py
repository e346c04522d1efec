"""Google's Secret Manager, by its REST API: what a container of Vertex AI must know and no pipeline may hold."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

_API = "https://secretmanager.googleapis.com"
_SECONDS = 10.0


def secret(session: requests.Session, project: str, name: str, api: str = _API) -> str:
    """The newest version of a secret.

    Args:
      session: with credentials of an account that may access it.
      project: of Google Cloud.
      name: of the secret.
      api: where the API is.

    Raises:
      requests.RequestException: there is no such secret, no right to it, or no answer.

    Source: https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
    """
    where = f"{api}/v1/projects/{project}/secrets/{name}/versions/latest:access"
    answer = session.get(where, timeout=_SECONDS)
    answer.raise_for_status()
    return base64.b64decode(answer.json()["payload"]["data"]).decode()
