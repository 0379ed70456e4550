"""The application: a page that names the butterfly in a photo, shows facts about it, and answers questions.

    butterflyer app --run runs/first
    butterflyer app --model runs/first/export/model.onnx --port 8000

By default it is reachable from this machine only. With another --host, or behind a proxy, it requires a password: the
content of $BUTTERFLYER_APP_PASSWORD, or of the file in $BUTTERFLYER_APP_PASSWORD_FILE. A browser asks for it with any
user name; a program sends it as 'Authorization: Bearer PASSWORD'.

The chat answers from the knowledge base in this package. Where $BUTTERFLYER_CHAT_URL and $BUTTERFLYER_CHAT_MODEL are
set (and the key in $BUTTERFLYER_CHAT_KEY, or in the file in $BUTTERFLYER_CHAT_KEY_FILE), any OpenAI-compatible endpoint
answers from the same knowledge.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from butterflyer_jax import cli, extras
from butterflyer_jax.app.settings import Settings
from butterflyer_jax.cloud import secret
from butterflyer_jax.console import status
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import paths

if TYPE_CHECKING:
    from butterflyer_jax.runs.examples import Examples

PASSWORD = "BUTTERFLYER_APP_PASSWORD"
MIN_PASSWORD = 8
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Import names of the packages in the extra `app`.
PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "limits", "pydantic", "yaml", "Stemmer")


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args = parser().parse_args(argv)
    extras.require("app", *PACKAGES, purpose="the application")
    if not 0 <= args.port < 65536:
        raise UserError("--port must be 0 to 65535")
    password = read_password(os.environ)
    if password is None and (args.host not in LOOPBACK or args.proxy):
        raise UserError(
            f"beyond this machine the application asks for a password: set {PASSWORD}, or {PASSWORD}_FILE to a file"
        )
    settings = Settings(
        max_upload_bytes=round(args.max_mib * 2**20),
        max_pixels=round(args.max_megapixels * 1e6),
        max_batch=args.max_batch,
        pictures_per_minute=args.pictures_per_minute,
        messages_per_minute=args.messages_per_minute,
    )
    rates = (settings.pictures_per_minute, settings.messages_per_minute)
    if min(settings.max_upload_bytes, settings.max_pixels, settings.max_batch) < 1 or min(rates) < 0:
        raise UserError("limits must be above 0 (a rate of 0 is no limit)")

    from butterflyer_jax.app.server.serving import check_address, serve

    check_address(args.host, args.port)
    from butterflyer_jax.app.chat import answerers
    from butterflyer_jax.app.feedback import FeedbackStore, KeptPhotos
    from butterflyer_jax.app.identify import Identifier
    from butterflyer_jax.app.knowledge import base
    from butterflyer_jax.app.server.service import Parts, create_service, make_decoder
    from butterflyer_jax.export.reader import open_classifier

    if args.species and paths.path(args.species).is_dir():
        raise UserError(
            f"--species {args.species} is a folder: it takes a list of species that can occur; a folder of "
            "knowledge of more species goes to --knowledge"
        )
    known = base.load(extra=args.knowledge)
    answerer = answerers.make_answerer(os.environ, known)
    classifier = open_classifier(args.run, args.model, args.species)
    identifier, decoder = Identifier(classifier), make_decoder(classifier, settings)
    kept = KeptPhotos(args.keep_photos, settings.max_kept_bytes) if args.keep_photos else None
    feedback = FeedbackStore(args.feedback, kept)
    with status("compiling the network"):
        identifier.warm_up(settings.max_batch)
    # Freezes the libraries' objects: each garbage collection over them would stall all requests for 150 ms.
    gc.collect()
    gc.freeze()
    decoder.start()
    parts = Parts(decoder, identifier, known, answerer, feedback, settings, password, _examples(args.run))
    serve(create_service(parts), args.host, args.port, args.proxy, settings.shutdown_seconds)


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    limits = Settings()
    parser = cli.ArgumentParser(prog="butterflyer app", description=__doc__)
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--run", metavar="DIR", help="run folder of butterflyer train, local or gs://")
    model.add_argument("--model", metavar="EXPORT", help="exported model of butterflyer export (no heat maps)")
    parser.add_argument("--host", default=LOOPBACK[0], help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7860, help="port, 0 for a free one (default: %(default)s)")
    parser.add_argument(
        "--proxy", metavar="ADDRESS", help="address of a reverse proxy whose X-Forwarded headers are trusted"
    )
    parser.add_argument("--species", metavar="LIST.txt", help="list of the only possible species, one name per line")
    parser.add_argument("--knowledge", metavar="FOLDER", help="more species files, as in app/knowledge/species")
    parser.add_argument(
        "--feedback", default="feedback.sqlite", metavar="FILE", help="visitors' corrections (default: %(default)s)"
    )
    parser.add_argument(
        "--keep_photos", "--keep_photographs", metavar="FOLDER", help="also keeps the photos that visitors correct"
    )
    for name, default, unit in (
        ("max_mib", limits.max_upload_bytes / 2**20, "largest file of a photo, MiB"),
        ("max_megapixels", limits.max_pixels / 1e6, "largest photo, megapixels"),
    ):
        parser.add_argument(
            f"--{name}", type=cli.number, default=default, metavar="N", help=f"{unit} (default: %(default)g)"
        )
    parser.add_argument(
        "--max_batch", type=int, default=limits.max_batch, metavar="N", help="photos per batch (default: %(default)s)"
    )
    for name, what in (("pictures", "photos"), ("messages", "questions and corrections")):
        parser.add_argument(
            f"--{name}_per_minute",
            type=int,
            default=getattr(limits, f"{name}_per_minute"),
            metavar="N",
            help=f"{what} that one client may send, 0 for no limit (default: %(default)s)",
        )
    return parser


def read_password(environment: Mapping[str, str]) -> str | None:
    """Returns the password from the environment, None without one.

    Raises:
      UserError: the password's file cannot be read or is empty, or the password is too short.
    """
    password = secret.read(environment, PASSWORD)
    if password and len(password) < MIN_PASSWORD:
        raise UserError(f"the password in {PASSWORD} has fewer than {MIN_PASSWORD} characters")
    return password or None


def _examples(run: str | None) -> Examples | None:
    if run is None:
        return None
    from butterflyer_jax import runs
    from butterflyer_jax.runs import examples

    return examples.read(runs.read(run))


if __name__ == "__main__":
    cli.run(main)
