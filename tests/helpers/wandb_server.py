"""A server on this machine that W&B's client takes for its own: it keeps runs, their rows and their files.

It answers the few requests that a run makes; artifacts are refused, which a run must survive, too. To a test it says at
/steps of which steps it has rows.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

from tests.helpers import web


@dataclass
class ServedRun:
    """A run as the server has received it.

    Attributes:
      config: config that was sent last.
      rows: rows of the history, in order.
      files: names of the uploaded files.
    """

    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    files: set[str] = field(default_factory=set)


class WandbServer(web.Server):
    """Serves until it is closed, or until a request for /stop: then it breaks every connection. A context manager.

    Attributes:
      runs: runs by id.
      resumed: ids of runs that were resumed.
      lost: whether connections break.
      refuses_rows: whether rows are answered with 403.
    """

    def __init__(self) -> None:
        self.runs: dict[str, ServedRun] = {}
        self.resumed: list[str] = []
        self.lost = False
        self.refuses_rows = False
        super().__init__(_Handler)

    def answer(self, path: str, body: bytes) -> Any:
        """Returns the answer to a request."""
        if path == "/steps":
            return [row["step"] for run in self.runs.values() for row in run.rows if "step" in row]
        if path.startswith("/upload/"):
            _, _, run, name = path.split("/", 3)
            self.runs[run].files.add(name)
            return {}
        if path.endswith("/file_stream"):
            history = (json.loads(body).get("files") or {}).get("wandb-history.jsonl")
            if history:
                rows = self.runs[path.split("/")[-2]].rows
                rows[history["offset"] :] = [json.loads(line) for line in history["content"]]
            return {}
        request = json.loads(body)
        query, variables = request["query"], request.get("variables") or {}
        if "RunResumeStatus" in query:
            bucket = self._bucket(variables["name"]) if variables["name"] in self.runs else None
            if bucket:
                self.resumed.append(variables["name"])
            return {"data": {"model": {**PROJECT, "bucket": bucket}}}
        if "UpsertBucket" in query:
            run = self.runs.setdefault(variables["name"], ServedRun())
            run.config |= json.loads(variables["config"] or "{}")
            return {"data": {"upsertBucket": {"bucket": self._bucket(variables["name"]), "inserted": True}}}
        if "CreateRunFiles" in query:
            urls = [
                {"name": name, "uploadUrl": f"{self.url}/upload/{variables['run']}/{name}"}
                for name in variables["files"]
            ]
            return {"data": {"createRunFiles": {"runID": "run", "uploadHeaders": [], "files": urls}}}
        return {"errors": [{"message": "not here"}]}

    def _bucket(self, name: str) -> dict[str, Any]:
        run = self.runs[name]
        lines = len(run.rows)
        return {
            "id": f"id-{name}",
            "name": name,
            "displayName": name,
            "project": PROJECT,
            "config": json.dumps(run.config),
            "summaryMetrics": "{}",
            "logLineCount": 0,
            "eventsLineCount": 0,
            "historyLineCount": lines,
            "historyTail": json.dumps([json.dumps(row) for row in run.rows[-1:]]),
            "eventsTail": "[]",
            "tags": [],
            "wandbConfig": '{"t": 1}',
        }


class _Handler(web.Handler):
    server: WandbServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.server.lost or self.path == "/stop":
            self.server.lost = True
            # To the client, a connection that breaks.
            self.close_connection = True
            return
        answer = json.dumps(self.server.answer(self.path, body)).encode()
        status = 403 if self.server.refuses_rows and self.path.endswith("/file_stream") else 200
        self.answer(answer, status, {"Content-Type": "application/json"})

    do_GET = do_PUT = do_POST


PROJECT = {"id": "project", "name": "butterflyer", "entity": {"id": "entity", "name": "people"}}
