"""A tokenizer of few words, in the file that `tokenizers` reads: for tests that need strings to become ids."""

import json

WORDS = ("[PAD]", "[UNK]", "a", "b", "c", "good", "bad", "the", "end")


def tokenizer(words: tuple[str, ...] = WORDS) -> bytes:
    """One that splits at spaces; what it does not know is [UNK]."""
    tokens = [
        {"id": number, "content": word, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False}
        for number, word in enumerate(words[:2])
    ]  # fmt: skip
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": tokens,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: at for at, word in enumerate(words)}, "unk_token": "[UNK]"},
    }
    return json.dumps(document).encode()
