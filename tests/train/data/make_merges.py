"""Makes merges.json from corpus.txt with HF tokenizers (0.23): python3 make_merges.py. Read by
tests/train/tokenizer_trainer_test.cc."""
import json
import pathlib

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

here = pathlib.Path(__file__).parent
REGEX = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def train(text, vocab, min_count):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(REGEX), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.train_from_iterator([text], trainers.BpeTrainer(
        vocab_size=vocab, min_frequency=min_count, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return {"vocab": vocab, "min_count": min_count, "merges": merges,
            "n_tokens": len(tokenizer.encode(text).ids)}


text = (here / "corpus.txt").read_bytes().decode()
cases = [train(text, 400, 2), train(text, 700, 2), train(text, 900, 1)]
(here / "merges.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n")
