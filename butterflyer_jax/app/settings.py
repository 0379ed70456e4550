"""What the service admits: sizes, rates and times."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Limits of the service.

    Attributes:
      max_upload_bytes: of a picture file.
      max_memory_bytes: of all uploads that are read or answered at the same time; further ones are asked to retry.
      max_kept_bytes: of the folder of kept photographs; with more in it, feedback is refused.
      max_pixels: of a picture; a larger one is refused before it is decoded.
      max_batch: pictures that are identified at once.
      max_waiting: pictures that may wait for their batch; further ones are asked to retry.
      pictures_per_minute: that one client may ask about; 0 for no limit.
      messages_per_minute: of the chat and of feedback, that one client may send; 0 for no limit.
      upload_seconds: that a client may take to send a request.
      decode_seconds: time limit for decoding one picture.
      decode_memory_bytes: memory limit of each process that decodes pictures.
      large_pixels: of a picture that is decoded beside the others, as it takes long.
      max_large: large pictures that may wait at once; further ones are asked to retry.
      answer_seconds: after which an identification is given up.
      max_requests: requests that may be answered at once.
      max_requests_of_one: of these, requests of one address.
      password_seconds: delay of each check of a password from an address that guesses.
      chat_seconds: after which a chat answer ends.
      max_chats: answers that may be under way at once.
      shutdown_seconds: time from a signal to the end of the service; requests under way get most of it.
    """

    max_upload_bytes: int = 20 << 20
    max_memory_bytes: int = 512 << 20
    max_kept_bytes: int = 10 << 30
    max_pixels: int = 64_000_000
    max_batch: int = 32
    max_waiting: int = 256
    pictures_per_minute: int = 240
    messages_per_minute: int = 60
    upload_seconds: float = 120.0
    decode_seconds: float = 4.0
    decode_memory_bytes: int = 1 << 30
    large_pixels: int = 16_000_000
    max_large: int = 4
    answer_seconds: float = 30.0
    max_requests: int = 384
    max_requests_of_one: int = 192
    password_seconds: float = 2.0
    chat_seconds: float = 120.0
    max_chats: int = 32
    shutdown_seconds: int = 30
