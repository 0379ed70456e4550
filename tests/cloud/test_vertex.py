"""Submitting, following and cancelling, by requests that a recorded transport answers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import google.auth
import pytest
import requests
from google.auth.exceptions import RefreshError

from butterflyer_jax import UserError, launch
from butterflyer_jax.cloud import secret, vertex
from tests.cloud import jobs
from tests.cloud.recorded import Answer, Recorded, error, session

NAME = "projects/lepidoptera/locations/us-central1/customJobs/123"
UPLOAD = "upload/storage/v1/b/lepidoptera/o"
CREATE, LOOK, LOG, CANCEL = "us-central1/customJobs", NAME, "entries:list", ":cancel"


def state(name: str, **more: Any) -> Answer:
    return 200, {"name": NAME, "state": f"JOB_STATE_{name}", "createTime": "2026-01-01T00:00:00.123456789Z", **more}


def entry(number: int, text: str, task: str = "workerpool0-0", **more: Any) -> dict[str, Any]:
    return {
        "insertId": f"id{number}",
        "timestamp": f"2026-01-01T00:{number:02}:00.123456789Z",
        "resource": {"labels": {"task_name": task}},
        **({"textPayload": text} | more),
    }


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes Google's services answer as a test says; returns the transport."""
    monkeypatch.setattr(vertex.time, "sleep", lambda _: None)

    def answer(answers: dict[str, list[Answer]]) -> Recorded:
        transport = Recorded(answers)
        monkeypatch.setattr(vertex, "authorized_session", lambda: (session(transport), "of-credentials"))
        return transport

    return answer


def submit(name: str = "one_gpu", *flags: str) -> tuple[str, str]:
    return jobs.printed([*jobs.LINES[name], *flags])


def test_a_job_is_staged_submitted_and_followed_to_its_end(service: Any) -> None:
    pages = [
        (200, {"entries": [entry(1, "first line\nsecond line")], "nextPageToken": "more"}),
        (200, {"entries": [entry(2, "", "workerpool1-0", jsonPayload={"message": "a structured line"})]}),
        # What was seen comes again, as the next question begins a while before the last answer.
        (200, {"entries": [entry(2, "", "workerpool1-0", jsonPayload={"message": "a structured line"})]}),
        (200, {"entries": [entry(3, "done")]}),
    ]
    transport = service(
        {
            UPLOAD: [(200, {})],
            LOG: pages,
            LOOK: [state("PENDING"), state("RUNNING"), error(503, "busy"), state("SUCCEEDED")],
            CREATE: [(200, {"name": NAME})],
        }
    )
    out, err = submit("four_hosts")
    assert out == f"{NAME}\n"
    lines = err.splitlines()
    assert [line for line in lines if line.startswith("123: ")] == ["123: pending", "123: running", "123: succeeded"]
    for line in ("first line", "second line", "workerpool1-0: a structured line", "done"):
        assert lines.count(line) == 1
    assert f"see: {vertex.console_page(NAME)}" in lines

    (_, first_url, config), (method, url, body), *rest = transport.requests
    golden = json.loads((jobs.GOLDEN / "four_hosts.json").read_text())
    staged = golden["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"][1]
    assert config == (jobs.ROOT / jobs.CONFIG).read_bytes()
    assert requests.compat.unquote(first_url.split("name=")[1]) == staged.removeprefix("gs://lepidoptera/")
    recorded = json.loads((Path(__file__).parent / "client_requests.json").read_text())["requests"]
    assert (method, url, body) == ("POST", recorded[0]["url"], golden)
    [look] = {url for method, url, _ in rest if method == "GET"}
    assert look == recorded[-2]["url"]
    asked = [body for _, url, body in rest if LOG in url]
    assert asked[0]["filter"] == (
        'resource.type="ml_job" AND resource.labels.job_id="123" AND timestamp>="2026-01-01T00:00:00.123456789Z"'
    )
    assert asked[1]["pageToken"] == "more"
    assert 'timestamp>="2026-01-01T00:01:00.123456Z"' in asked[2]["filter"]


def test_a_job_may_be_left_alone(service: Any) -> None:
    transport = service({UPLOAD: [(200, {})], CREATE: [(200, {"name": NAME})]})
    assert submit("one_gpu", "--no_wait")[0] == f"{NAME}\n"
    assert len(transport.requests) == 2


def test_a_job_is_cancelled_by_its_number_or_name(service: Any) -> None:
    transport = service({CANCEL: [(200, b"")]})
    assert jobs.printed(["--cancel", NAME])[0] == f"cancelling: {NAME}\n"
    assert jobs.printed(["--cancel", "123", "--project", "lepidoptera"])[0] == f"cancelling: {NAME}\n"
    recorded = json.loads((Path(__file__).parent / "client_requests.json").read_text())["requests"][-1]
    assert [(m, u, b) for m, u, b in transport.requests] == 2 * [(recorded["method"], recorded["url"], {})]
    with pytest.raises(UserError, match="'mine' is not a job"):
        launch.main(["--cancel", "mine"])


def test_following_ends_as_the_job_does(service: Any) -> None:
    service({LOOK: [state("CANCELLED")], LOG: [(200, {})]})
    with pytest.raises(UserError, match="the job ended as cancelled"):
        launch.main(["--follow", NAME])
    service({LOOK: [state("FAILED", error={"code": 3, "message": "The replica workerpool0-0 exited with 2."})],
            LOG: [(200, {})]})  # fmt: skip
    with pytest.raises(UserError, match="the job failed: The replica workerpool0-0 exited with 2"):
        launch.main(["--follow", NAME])


def test_breaking_off_leaves_the_job_running(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    service({LOOK: [state("RUNNING")], LOG: [(200, {})]})
    monkeypatch.setattr(vertex.time, "sleep", interrupt)
    said: list[str] = []
    monkeypatch.setattr(launch, "say", said.append)
    with pytest.raises(KeyboardInterrupt):
        launch.main(["--follow", NAME])
    assert "the job keeps running" in said[0]
    assert f"--cancel {NAME}" in said[0]


def test_a_log_that_may_not_be_read_does_not_end_following(service: Any) -> None:
    service({LOOK: [state("RUNNING"), state("SUCCEEDED")], LOG: [error(403, "Permission denied")]})
    _, err = jobs.printed(["--follow", NAME])
    assert err.count("the log of the job cannot be shown: no permission to read the log") == 1
    assert "123: succeeded" in err


QUOTA = (
    "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus"
)


def test_a_denied_quota_names_it_and_what_else_to_take(service: Any) -> None:
    service({UPLOAD: [(200, {})], CREATE: [error(429, QUOTA, "RESOURCE_EXHAUSTED")]})
    with pytest.raises(UserError) as said:
        submit()
    for part in (
        "the quota aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus in us-central1 does not allow 1 x",
        "console.cloud.google.com/iam-admin/quotas",
        "--spot",
        "--region us-east1 or ",
        "--machine n1-standard-4 --accelerator NVIDIA_TESLA_T4 --gpu 1",
    ):
        assert part in str(said.value)


def test_a_quota_denied_while_the_job_waits_and_machines_that_are_not_free(service: Any) -> None:
    """With spot already taken that is no advice."""
    failed = {
        "code": 8,
        "message": "Resources are insufficient in region: europe-west4. Please try a different region.",
    }
    where = {UPLOAD: [(200, {})], LOG: [(200, {})], "customJobs/123": [state("FAILED", error=failed)]}
    service({**where, "customJobs": [(200, {"name": NAME.replace("us-central1", "europe-west4")})]})
    with pytest.raises(UserError, match="no a2-highgpu-8g with 8 x NVIDIA_TESLA_A100 is free in europe-west4") as said:
        submit("eight_gpus")
    assert "--spot" not in str(said.value)
    assert "--region us-central1" in str(said.value)
    failed["message"] = "The quota is exceeded."
    with pytest.raises(UserError, match=r"custom_model_training_preemptible_nvidia_a100_gpus in europe-west4 does not"):
        submit("eight_gpus")


def test_refusals_are_one_clear_line(service: Any) -> None:
    created = {CREATE: [(200, {"name": NAME})]}
    for answer, reason in {
        "404": (error(404, "The specified bucket does not exist."), "cannot write gs://lepidoptera/.*: no such bucket"),
        "403": (error(403, "no storage.objects.create access"), "no permission to write gs://lepidoptera"),
        "401": (error(401, "Invalid Credentials"), "no valid Google credentials"),
        "refresh": (RefreshError("expired"), "no valid Google credentials"),
        "network": (requests.ConnectionError("no route"), "the network does not reach storage.googleapis.com"),
        "html": ((502, b"<html>"), "cannot write .*<html>"),
    }.values():
        service({UPLOAD: [answer], **created})
        with pytest.raises(UserError, match=reason):
            submit()
    service({UPLOAD: [(200, {})], CREATE: [error(400, "Machine type is not supported.")]})
    with pytest.raises(UserError, match="cannot submit butterflyer-first: Machine type is not supported"):
        submit()


def test_submitting_is_tried_once_and_looking_often(service: Any) -> None:
    """A job whose answer got lost would otherwise run twice."""
    transport = service({UPLOAD: [(200, {})], CREATE: [error(503, "busy")]})
    with pytest.raises(UserError, match="busy"):
        submit()
    assert len(transport.requests) == 2
    transport = service({LOOK: [requests.ConnectionError("gone")]})
    with pytest.raises(UserError, match="the network does not reach us-central1-aiplatform"):
        launch.main(["--follow", NAME])
    assert len(transport.requests) == vertex.ATTEMPTS


def test_the_project_comes_from_the_credentials_where_none_is_given(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in launch.PROJECT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    transport = service({CANCEL: [(200, {})]})
    launch.main(["--cancel", "5"])
    assert "/projects/of-credentials/" in transport.requests[0][1]


def test_a_secret_is_read_where_the_training_runs(capsys: pytest.CaptureFixture[str]) -> None:
    name = "projects/lepidoptera/secrets/wandb/versions/latest"
    assert secret.resource("wandb", "lepidoptera") == name == secret.resource(name, "other")
    payload = {"payload": {"data": base64.b64encode(b"the-key\n").decode()}}
    transport = Recorded({f"secretmanager.googleapis.com/v1/{name}:access": [(200, payload)]})
    environment = {"WANDB_API_KEY_SECRET": name}
    secret.resolve(environment, session(transport))
    assert environment["WANDB_API_KEY"] == "the-key"
    secret.resolve(environment, session(Recorded({})))
    # Where it cannot be read, training continues without it.
    environment = {"WANDB_API_KEY_SECRET": name}
    secret.resolve(environment, session(Recorded({name: [error(403, "denied")]})))
    assert "WANDB_API_KEY" not in environment
    assert "continuing without the key of Weights & Biases: cannot read" in capsys.readouterr().err


def test_a_secret_may_be_a_mounted_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text("the-key\n")
    environment = {"WANDB_API_KEY_FILE": str(tmp_path / "key")}
    secret.resolve(environment)
    assert environment["WANDB_API_KEY"] == "the-key"
    secret.resolve({"WANDB_API_KEY_FILE": str(tmp_path / "none")})
    assert "No such file" in capsys.readouterr().err


def test_default_credentials_are_googles(monkeypatch: pytest.MonkeyPatch) -> None:
    from google.auth.credentials import AnonymousCredentials

    asked = []

    def default(scopes: list[str]) -> tuple[AnonymousCredentials, str]:
        asked.append(scopes)
        return AnonymousCredentials(), "theirs"

    monkeypatch.setattr(google.auth, "default", default)
    made, project = vertex.authorized_session()
    assert project == "theirs"
    assert asked == [[vertex.SCOPE]]
    assert isinstance(made, requests.Session)
