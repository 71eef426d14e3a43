"""Texts to token ids, cut to a length with the closing special token kept."""

from collections.abc import Sequence

from tokenizers import Tokenizer

# Cutting characters first bounds the time for a text of megabytes. Ordinary words take about 5 characters
# a token, so only text with 50 times longer runs (blanks, for instance) loses tokens that would have counted.
CHARACTERS_PER_TOKEN = 250


class Tokens:
    """Token ids of texts with one tokenizer and one length; safe to share between threads.

    Texts are encoded one by one: a batch would start the tokenizer's own thread pool, which competes
    with the matrix products and breaks a later fork, for a step that takes about 1% of the time.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int, pad_id: int) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=max_tokens)
        self._longest = max_tokens * CHARACTERS_PER_TOKEN
        self.pad_id = pad_id

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, at least one, special tokens included."""
        return [self._ids(text) for text in texts]

    def _ids(self, text: str) -> list[int]:
        # Half of a surrogate pair, as broken files carry, has no UTF-8 form; it becomes "?".
        clean = text[: self._longest].encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self._tokenizer.encode(clean).ids
        return ids or [self.pad_id]
