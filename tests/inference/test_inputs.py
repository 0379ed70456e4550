"""Names that are hard, given to predict."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from butterflyer_jax.errors import UserError
from butterflyer_jax.inference import inputs


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\0b.jpg", "not a name of a file"),
        ("ftp://127.0.0.1/x.jpg", "take a local path or gs://"),
        ("s3://bucket/x.jpg", "take a local path or gs://"),
        ("file:///tmp/x.jpg", "take a local path or gs://"),
        ("http://[::1/x.jpg", "no answer: Invalid IPv6 URL"),
        ("HTTP://127.0.0.1:9/x.jpg", "no answer"),
    ],
)
def test_a_bad_name_is_one_picture_that_cannot_be_read(name: str, reason: str) -> None:
    [picture] = inputs.pictures([name])
    with pytest.raises(UserError, match=reason):
        picture.read()


def test_names_in_no_encoding_brackets_and_links_to_themselves(tmp_path: Path) -> None:
    folder = tmp_path / "photos [2024]"
    folder.mkdir()
    for name in (b"caf\xe9.jpg", b"a?.jpg", b"new\nline.jpg", b"back\\slash.jpg"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"content")
    (folder / "again").symlink_to(".")
    found = list(inputs.pictures([str(folder)]))
    assert len(found) == 4
    assert {picture.read() for picture in found} == {b"content"}


def test_pipes_devices_sockets_and_links_to_themselves_are_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "good.jpg").write_bytes(b"content")
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")
    (tmp_path / "nowhere.jpg").symlink_to("gone.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket.jpg"))
    reasons = {
        "device.jpg": "it is a device, not a file",
        "itself.jpg": "Too many levels of symbolic links",
        "nowhere.jpg": "no such file",
        "pipe.jpg": "it is a pipe, not a file",
        "pipe.zip": "it is a pipe, not a file",
        "socket.jpg": "it is a socket, not a file",
    }
    for found in (
        inputs.pictures([str(tmp_path)]),
        inputs.pictures(str(tmp_path / name) for name in (*reasons, "good.jpg")),
    ):
        pictures = {Path(picture.name).name: picture for picture in found}
        assert pictures.pop("good.jpg").read() == b"content"
        assert pictures.keys() >= reasons.keys() - {"pipe.zip"}
        for name, picture in pictures.items():
            with pytest.raises(UserError, match=reasons[name]):
                picture.read()


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx", b"HTTP/1.1 200 OK\r\nX"])
def test_a_server_that_sends_a_byte_a_second_is_given_up(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(inputs, "TOTAL_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(sent)
                is_over.wait(10)

        is_over = threading.Event()
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(UserError, match="slower than"):
            inputs.read_url(f"http://127.0.0.1:{server.getsockname()[1]}/x.jpg")
        is_over.set()
        thread.join(10)
