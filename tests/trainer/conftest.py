"""A tiny random Gemma 2 with a vocabulary of its own, and random token sets for it."""

import io

import numpy as np
import pytest

from trainer.base import BaseModel
from trainer.tokens import Example, Tokenizer, TokenSet

VOCABULARY = 320


@pytest.fixture(scope="session", autouse=True)
def compiled_programs(tmp_path_factory):
    """Packs of one shape compile the same programs: keep them for the session."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


@pytest.fixture(scope="session")
def proto() -> bytes:
    import sentencepiece

    letters = "가나다라마바사아자차카타파하 abcdefghijklmnopqrstuvwxyz"
    rng = np.random.default_rng(0)
    lines = ["".join(rng.choice(list(letters), 40)) for _ in range(200)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=VOCABULARY,
        byte_fallback=True,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        bos_piece="<bos>",
        eos_piece="<eos>",
        user_defined_symbols=["<start_of_turn>", "<end_of_turn>"],
        add_dummy_prefix=False,
        minloglevel=2,
    )
    return model.getvalue()


@pytest.fixture(scope="session")
def new_causal_lm(proto):
    """Makes equal random models: KerasHub's LoRA can be enabled only once per layer."""

    def make(dtype: str = "float32"):
        from trainer.keras_backend import keras, keras_hub

        keras.utils.set_random_seed(7)
        backbone = keras_hub.models.GemmaBackbone(
            vocabulary_size=VOCABULARY,
            num_layers=2,
            num_query_heads=4,
            num_key_value_heads=2,
            hidden_dim=32,
            intermediate_dim=96,
            head_dim=8,
            use_post_ffw_norm=True,
            use_post_attention_norm=True,
            attention_logit_soft_cap=50.0,
            final_logit_soft_cap=30.0,
            use_sliding_window_attention=True,
            sliding_window_size=8,
            dtype=dtype,
        )
        tokenizer = keras_hub.models.GemmaTokenizer(proto=proto)
        preprocessor = keras_hub.models.GemmaCausalLMPreprocessor(tokenizer)
        return keras_hub.models.GemmaCausalLM(backbone=backbone, preprocessor=preprocessor)

    return make


@pytest.fixture(scope="session")
def base(new_causal_lm, proto) -> BaseModel:
    return BaseModel("tiny", "float32", new_causal_lm(), Tokenizer(proto))


@pytest.fixture(scope="session")
def token_set():
    """Makes sets of random examples of mixed lengths, whose second half is the target."""

    def make(count: int, seed: int = 0, name: str = "val", lengths: tuple[int, ...] = (12,)) -> TokenSet:
        rng = np.random.default_rng(seed)
        examples = []
        for length in rng.choice(lengths, count):  # few buckets, so that little is compiled
            mask = np.arange(length) >= length // 2
            ids = rng.integers(10, VOCABULARY, length).astype(np.int32)
            examples.append(Example(token_ids=ids, loss_mask=mask, text_bytes=int(mask.sum()) * 3))
        return TokenSet(name=name, examples=tuple(examples), digest=f"{seed}-{count}", dropped={})

    return make
