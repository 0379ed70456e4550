"""Choice of the answerer: the embedded one, or a language model where the environment names one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from butterflyer_jax.app.chat.conversation import Answerer
from butterflyer_jax.app.chat.embedded_answerer import EmbeddedAnswerer
from butterflyer_jax.app.chat.openai_answerer import OpenAIAnswerer
from butterflyer_jax.app.chat.retrieval import Retriever
from butterflyer_jax.app.knowledge.base import Knowledge
from butterflyer_jax.cloud import secret
from butterflyer_jax.errors import UserError

URL = "BUTTERFLYER_CHAT_URL"
MODEL = "BUTTERFLYER_CHAT_MODEL"
KEY = "BUTTERFLYER_CHAT_KEY"
KEY_FILE = f"{KEY}_FILE"
# A shorter key, or one with brackets like a citation, could not be redacted from answers.
KEY_FORM = re.compile(r"[!-Z^-~]{8,}")


def make_answerer(environ: Mapping[str, str], knowledge: Knowledge) -> Answerer:
    """Returns the answerer for these settings: the embedded one, unless they name a server and a model.

    Args:
      environ: `os.environ`; `URL` and `MODEL`, and `KEY` or the file `KEY_FILE` for a server that needs a key.
      knowledge: knowledge base for the answers.

    Raises:
      UserError: a setting is missing or wrong.
    """
    url, model = environ.get(URL, ""), environ.get(MODEL, "")
    embedded = EmbeddedAnswerer(Retriever(knowledge))
    given = [name for name in (URL, MODEL, KEY, KEY_FILE) if environ.get(name)]
    if not given:
        return embedded
    for name, value in ((URL, url), (MODEL, model)):
        if not value:
            raise UserError(f"{given[0]} is set, but not {name}: set it too, or neither for the chat without a model")
    address = _address(url)
    if address.scheme not in ("http", "https") or not address.hostname or "@" in address.netloc:
        raise UserError(f"{URL} is not an address such as https://host/v1; the key goes into {KEY}")
    return OpenAIAnswerer(embedded, url, model, _key(environ))


def _address(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _key(environ: Mapping[str, str]) -> str:
    key = secret.read(environ, KEY)
    if key and not KEY_FORM.fullmatch(key):
        name = KEY if environ.get(KEY) else KEY_FILE
        raise UserError(f"{name}: a key has 8 or more ASCII characters and no space; unset it if the server needs none")
    return key
