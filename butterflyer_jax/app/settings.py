"""Limits of the service: sizes, rates and times."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Limits of the service.

    Attributes:
      max_upload_bytes: size of a photo's file, bytes.
      max_memory_bytes: total size of all uploads in progress, bytes; further ones are asked to retry.
      max_kept_bytes: size of the folder of kept photos, bytes; when it is full, feedback is refused.
      max_pixels: size of a photo, pixels; a larger one is refused before it is decoded.
      max_batch: photos per batch.
      max_waiting: photos that may wait for their batch; further ones are asked to retry.
      pictures_per_minute: photos per minute and client; 0 for no limit.
      messages_per_minute: chat and feedback messages per minute and client; 0 for no limit.
      upload_seconds: time limit for sending a request, seconds.
      decode_seconds: time limit for decoding a photo, seconds.
      decode_memory_bytes: memory limit of each decoding process, bytes.
      large_pixels: size from which a photo is decoded in a separate lane, pixels.
      max_large: large photos that may wait at once; further ones are asked to retry.
      max_searches: photos that are searched or wait for it; further ones are asked to retry.
      answer_seconds: time limit for an identification, seconds.
      max_requests: concurrent requests.
      max_requests_of_one: concurrent requests per address.
      password_seconds: delay of each password check for an address that guesses, seconds.
      chat_seconds: time limit for a chat answer, seconds.
      max_chats: concurrent chat answers.
      shutdown_seconds: time from a signal to the end of the service, seconds, most of it for requests in progress.
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
    max_searches: int = 3
    answer_seconds: float = 30.0
    max_requests: int = 384
    max_requests_of_one: int = 192
    password_seconds: float = 2.0
    chat_seconds: float = 120.0
    max_chats: int = 32
    shutdown_seconds: int = 30
