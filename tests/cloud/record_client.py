"""Records what Google's own client sends for the jobs in `golden/`, and which accelerators it knows.

Into `client_requests.json`.

Needs google-cloud-aiplatform, in an environment of its own:
  python -m venv /tmp/client && /tmp/client/bin/pip install google-cloud-aiplatform
  /tmp/client/bin/python tests/cloud/record_client.py
"""

from __future__ import annotations

import io
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud.aiplatform_v1.services.job_service import JobServiceClient
from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceRestTransport
from google.cloud.aiplatform_v1.types import AcceleratorType, CustomJob
from google.protobuf import json_format

HERE = Path(__file__).parent
PARENT = "projects/lepidoptera/locations/us-central1"
JOB = f"{PARENT}/customJobs/123"


class Recorder(requests.adapters.BaseAdapter):
    """Keeps each request, and answers with an empty job."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[dict[str, Any]] = []

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        body = json.loads(request.body) if request.body else None
        self.requests.append({"method": request.method, "url": request.url.split("?")[0], "body": body})
        response = requests.Response()
        response.status_code, response.raw, response.request = 200, io.BytesIO(b"{}"), request
        response.headers["content-type"] = "application/json"
        return response

    def close(self) -> None:
        pass


if __name__ == "__main__":
    recorder = Recorder()
    transport = JobServiceRestTransport(
        host="us-central1-aiplatform.googleapis.com", credentials=AnonymousCredentials()
    )
    transport._session.mount("https://", recorder)
    client = JobServiceClient(transport=transport)
    for path in sorted((HERE / "golden").glob("*.json")):
        job = CustomJob.pb(CustomJob())
        json_format.ParseDict(json.loads(path.read_text()), job)
        client.create_custom_job(parent=PARENT, custom_job=CustomJob.wrap(job))
    client.get_custom_job(name=JOB)
    client.cancel_custom_job(name=JOB)
    recording = {"client": f"google-cloud-aiplatform {version('google-cloud-aiplatform')}"}
    recording["accelerators"] = list(AcceleratorType.__members__)
    recording["requests"] = recorder.requests
    (HERE / "client_requests.json").write_text(json.dumps(recording, indent=1) + "\n")
