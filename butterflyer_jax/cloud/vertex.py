"""Client of the Vertex AI REST API: submit a job, follow it to its end, cancel it."""

from __future__ import annotations

import datetime
import re
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from butterflyer_jax import extras
from butterflyer_jax.cloud import machines
from butterflyer_jax.cloud.job import Job, custom_job
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
STORAGE = "https://storage.googleapis.com"
LOGGING = "https://logging.googleapis.com/v2/entries:list"
ENDED = {
    "JOB_STATE_SUCCEEDED",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_EXPIRED",
    "JOB_STATE_PARTIALLY_SUCCEEDED",
}
POLL_SECONDS = 15.0
REQUEST_SECONDS = 60.0
# Attempts of a request that changes nothing, where the network or the service fails; waits of 1, 2, 4 … seconds
# between.
ATTEMPTS = 7
PAGE_ENTRIES = 1000
ROLES = "it takes the roles Vertex AI User and Logs Viewer, and Storage Object User of the bucket"
# Log entries may appear some time after their timestamp.
LOG_LAG_SECONDS = 60
JOB = re.compile(r"projects/(?P<project>[^/]+)/locations/(?P<region>[^/]+)/customJobs/(?P<id>\d+)")


def authorized_session() -> tuple[Any, str | None]:
    """Returns a session with Google's default credentials, and the project of these credentials, if any.

    Raises:
      UserError: the packages or the credentials are missing.
    """
    extras.require("cloud", "google.auth", "requests", purpose="Vertex AI")
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError
    from google.auth.transport.requests import AuthorizedSession

    try:
        credentials, project = google.auth.default(scopes=[SCOPE])
    except DefaultCredentialsError as error:
        raise UserError(_no_credentials()) from error
    return AuthorizedSession(credentials), project


@dataclass(frozen=True)
class Vertex:
    """Client for the jobs of a project in a region.

    Attributes:
      session: `requests` session with credentials.
      project: ID of the project.
      region: region such as us-central1.
    """

    session: Any
    project: str
    region: str

    @property
    def _root(self) -> str:
        return f"https://{self.region}-aiplatform.googleapis.com/v1"

    def upload(self, content: bytes, url: str) -> None:
        """Writes a small file to gs://.

        Raises:
          UserError: no such bucket, or no permission to write there.
        """
        bucket, _, name = url.removeprefix("gs://").partition("/")
        address = f"{STORAGE}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={urllib.parse.quote(name, safe='')}"
        self._request("POST", address, f"write {url}", data=content, headers={"Content-Type": "text/x-python"})

    def submit(self, job: Job) -> str:
        """Submits a job and returns its name: projects/…/locations/…/customJobs/ID.

        Raises:
          UserError: the job was rejected; the message has the reason, and for a quota also alternatives.
        """
        parent = f"{self._root}/projects/{self.project}/locations/{self.region}"
        # A single attempt: a retry after a lost response would run the job twice.
        answer = self._request("POST", f"{parent}/customJobs", f"submit {job.name}", job, json=custom_job(job))
        return str(answer["name"])

    def cancel(self, name: str) -> None:
        """Requests the cancellation of a job, which takes a minute or two.

        Raises:
          UserError: there is no such job, or no permission to cancel it.
        """
        self._request("POST", f"{self._root}/{name}:cancel", f"cancel {name}", json={})

    def follow(self, name: str, job: Job | None = None, poll_seconds: float = POLL_SECONDS) -> str:
        """Prints a job's states and log to stderr until it ends; returns its final state.

        Args:
          name: full name of the job, as `submit` returned it.
          job: submitted job, for better advice where it fails because no GPUs are available.
          poll_seconds: time between two requests, seconds.

        Raises:
          UserError: the job failed, or cannot be followed any longer (it keeps running).
        """
        state, seen, since, logs = "", dict[str, str](), "", True
        while True:
            about = self._request("GET", f"{self._root}/{name}", f"look at {name}", tries=ATTEMPTS)
            since = since or about.get("createTime", "1970-01-01T00:00:00Z")
            if about["state"] != state:
                state = about["state"]
                say(f"{name.rsplit('/', 1)[-1]}: {state.removeprefix('JOB_STATE_').lower()}")
            try:
                if logs:
                    since = self._print_log(name, since, seen)
            except UserError as error:
                # The job's state matters more than its log: continue without it.
                say(f"the log of the job cannot be shown: {error}")
                logs = False
            if state in ENDED:
                break
            time.sleep(poll_seconds)
        if state == "JOB_STATE_FAILED":
            reason = about.get("error", {})
            raise UserError(_failed(reason.get("code"), reason.get("message", "no reason given"), job, self.region))
        return state

    def _print_log(self, name: str, since: str, seen: dict[str, str]) -> str:
        """Prints new entries of a job's log; returns the timestamp from which to ask next time."""
        for entry in self._entries(name, since):
            if entry["insertId"] in seen:
                continue
            seen[entry["insertId"]] = entry["timestamp"]
            task = entry.get("resource", {}).get("labels", {}).get("task_name", "")
            message = entry.get("textPayload") or entry.get("jsonPayload", {}).get("message") or ""
            for line in str(message).splitlines():
                say(f"{task}: {line}" if task not in ("", "workerpool0-0") else line)
        if not seen:
            return since
        newest = _parse(max(seen.values(), key=_parse))
        start = newest - datetime.timedelta(seconds=LOG_LAG_SECONDS)
        for identifier in [i for i, timestamp in seen.items() if _parse(timestamp) < start]:
            del seen[identifier]
        return max(start, _parse(since)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _entries(self, name: str, since: str) -> Iterator[dict[str, Any]]:
        identifier = name.rsplit("/", 1)[-1]
        body: dict[str, Any] = {
            "resourceNames": [f"projects/{self.project}"],
            "filter": f'resource.type="ml_job" AND resource.labels.job_id="{identifier}" AND timestamp>="{since}"',
            "orderBy": "timestamp asc",
            "pageSize": PAGE_ENTRIES,
        }
        while True:
            page = self._request("POST", LOGGING, "read the log", tries=ATTEMPTS, json=body)
            yield from page.get("entries", [])
            if not page.get("nextPageToken"):
                return
            body["pageToken"] = page["nextPageToken"]

    def _request(
        self, method: str, url: str, what: str, job: Job | None = None, tries: int = 1, **content: Any
    ) -> dict[str, Any]:
        import google.auth.exceptions
        import requests

        for attempt in range(1, tries + 1):
            try:
                response = self.session.request(method, url, timeout=REQUEST_SECONDS, **content)
            except (google.auth.exceptions.RefreshError, google.auth.exceptions.DefaultCredentialsError) as error:
                raise UserError(_no_credentials()) from error
            except (requests.RequestException, google.auth.exceptions.TransportError) as error:
                failure = UserError(f"cannot {what}: the network does not reach {urllib.parse.urlsplit(url).hostname}")
                if attempt == tries:
                    raise failure from error
            else:
                if response.ok:
                    return response.json() if response.content else {}
                failure = self._refused(response, what, job)
                if attempt == tries or (response.status_code < 500 and response.status_code != 429):
                    raise failure
            time.sleep(2.0 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    def _refused(self, response: Any, what: str, job: Job | None) -> UserError:
        try:
            message = response.json()["error"]["message"]
        except (ValueError, KeyError, TypeError):
            message = response.text.strip() or response.reason
        if response.status_code == 401:
            return UserError(_no_credentials())
        if response.status_code == 404 and response.url.startswith(STORAGE):
            return UserError(f"cannot {what}: no such bucket")
        if job is not None and response.status_code == 429:
            return UserError(_failed(8, message, job, self.region))
        if response.status_code == 403:
            return UserError(f"no permission to {what}: {message}; {ROLES}")
        return UserError(f"cannot {what}: {message}")


def full_name(job: str, project: str, region: str) -> str:
    """Returns projects/…/locations/…/customJobs/ID for a full name or for the ID alone.

    Raises:
      UserError: `job` is neither.
    """
    if job.isdigit():
        return f"projects/{project}/locations/{region}/customJobs/{job}"
    if not JOB.fullmatch(job):
        raise UserError(f"{job!r} is not a job: give its number, or projects/…/locations/…/customJobs/NUMBER")
    return job


def console_page(name: str) -> str:
    """Returns the address of a job's page in Google's console."""
    found = JOB.fullmatch(name)
    if not found:
        return "https://console.cloud.google.com/vertex-ai/training/custom-jobs"
    page = f"locations/{found['region']}/training/{found['id']}/cpu?project={found['project']}"
    return f"https://console.cloud.google.com/vertex-ai/{page}"


def _failed(code: int | None, message: str, job: Job | None, region: str) -> str:
    """Returns why a job was rejected or failed; where no GPUs are available (gRPC code 8), also alternatives."""
    message = " ".join(message.split())
    lacks_quota = "quota" in message.lower()
    if job is None or not (lacks_quota or code == 8 or "Resources are insufficient" in message):
        return f"the job failed: {message}"
    machine = job.machine
    spot = "" if job.spot else "--spot (another quota, and cheaper); "
    regions = [name for name in machines.regions(machine.accelerator) if name != region]
    types = "; ".join(other.flags for other in machines.alternatives(machine))
    advice = f"try {spot}--region {' or '.join(regions)}; or other GPUs: {types}"
    if not lacks_quota:
        return f"no {machine.words} is free in {region} now ({message}): {advice}"
    named = re.search(r"aiplatform\.googleapis\.com/\w+", message)
    name = named[0] if named else machines.quota(machine.accelerator, job.spot)
    needed = job.hosts * machine.gpus
    return (
        f"the quota {name} in {region} does not allow {needed} x {machine.accelerator}: ask for {needed} at "
        f"https://console.cloud.google.com/iam-admin/quotas, or {advice}"
    )


def _no_credentials() -> str:
    return (
        "no valid Google credentials: run `gcloud auth application-default login`, "
        "or set GOOGLE_APPLICATION_CREDENTIALS to a key file"
    )


def _parse(timestamp: str) -> datetime.datetime:
    # Timestamps have nanoseconds, which Python cannot parse.
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", timestamp.replace("Z", "+00:00")))
