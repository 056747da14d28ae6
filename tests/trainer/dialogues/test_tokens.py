"""Gemma's template, targets, control tokens as data. A small tokenizer of Gemma's kind is trained here."""

import io
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.base.tokenizer import CONTROL_PIECES, Tokenizer
from trainer.dialogues import Dialogue, DialogueSet, Turn, digest_of
from trainer.dialogues.tokens import (
    Example,
    LossOn,
    TokenSet,
    encode_dialogue,
    encode_dialogues,
    encode_prompt,
    tokenize,
)
from trainer.errors import BaseModelError, ConfigError, DataError

ROOT = Path(__file__).parents[3]
ORACLE = ROOT.parent / "shared" / "oracle" / "gemma2_tiny"
SENTENCES = [
    "요즘 잠을 못 자요. 마음이 무겁고 힘들어요.",
    "그랬군요, 많이 지치셨겠어요. 조금 쉬어 볼까요?",
    "I can't sleep <b>at all</b> and the start of my day is late.",
    "That must be hard. Take one turn at a time, end of story.",
]
GEMMA_LIKE = {"normalization_rule_name": "identity", "add_dummy_prefix": False, "remove_extra_whitespaces": False}
USER_DEFINED = ["<start_of_turn>", "<end_of_turn>", "\n", "\n\n", "▁▁", "<b>", "</b>"]
PAIR = Dialogue((Turn("user", "잠을 못 자요"), Turn("model", "힘들어요?")))
FOUR = Dialogue((*PAIR.turns, Turn("user", "조금"), Turn("model", "쉬어 볼까요?")))


def train(**options: Any) -> bytes:
    """A SentencePiece model of a few hundred pieces with Gemma's control pieces at Gemma's ids 0 to 3."""
    proto = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20),
        model_writer=proto,
        minloglevel=2,
        **{
            "model_type": "bpe", "vocab_size": 420, "byte_fallback": True, "user_defined_symbols": USER_DEFINED,
            "pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3,
            "pad_piece": "<pad>", "eos_piece": "<eos>", "bos_piece": "<bos>",
            **options,
        },
    )  # fmt: skip
    return proto.getvalue()


@pytest.fixture(scope="module")
def small() -> Tokenizer:
    return Tokenizer(train(**GEMMA_LIKE))


@pytest.fixture(scope="module")
def gemma() -> Tokenizer:
    """The real tokenizer of Gemma 2."""
    path = ORACLE / "tokenizer.model"
    if not path.exists():
        pytest.skip(f"needs {path}")
    return Tokenizer(path.read_bytes())


@pytest.fixture(scope="module", params=["small", "gemma"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    found: Tokenizer = request.getfixturevalue(request.param)
    return found


def data_of(*dialogues: Dialogue) -> DialogueSet:
    return DialogueSet("train", dialogues, digest_of(dialogues))


def pieces(tokenizer: Tokenizer, ids: Any) -> list[str]:
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(tokenizer.proto)
    return [processor.id_to_piece(int(i)) for i in ids]


def target_runs(example: Example) -> Iterator[list[int]]:
    """Token ids of each unbroken run of targets."""
    run: list[int] = []
    for token, is_target in zip(example.token_ids.tolist(), example.loss_mask.tolist(), strict=True):
        if is_target:
            run.append(token)
        elif run:
            yield run
            run = []
    if run:
        yield run


# --- the real tokenizer ---------------------------------------------------------------------------------------------


def test_token_ids_are_those_of_transformers(gemma: Tokenizer) -> None:
    """16 real dialogues: ids, where the prompt ends, how many targets, and the prompt alone."""
    cases = json.loads((ORACLE / "reference.json").read_text(encoding="utf-8"))["cases"]
    assert len(cases) == 16
    for case in cases:
        user, model = Turn("user", case["user"]), Turn("model", case["model"])
        example = encode_dialogue(gemma, Dialogue((user, model)))
        assert example.token_ids.tolist() == case["token_ids"]
        assert example.loss_mask.nonzero()[0].tolist() == list(range(case["prompt_tokens"], len(case["token_ids"])))
        assert example.loss_mask.sum() == case["response_tokens"]
        assert encode_prompt(gemma, [user]) == case["token_ids"][: case["prompt_tokens"]]


def test_the_ids_are_gemmas(gemma: Tokenizer) -> None:
    assert (gemma.pad_id, gemma.eos_id, gemma.bos_id, gemma.start_of_turn_id, gemma.end_of_turn_id) == (
        0,
        1,
        2,
        106,
        107,
    )
    assert gemma.vocabulary_size == 256_000


def test_several_turns_are_encoded_as_the_whole_text_would_be(gemma: Tokenizer) -> None:
    """The same as one call on the template's text, where the control pieces are parsed."""
    text = "".join(f"<start_of_turn>{t.role}\n{t.text}<end_of_turn>\n" for t in FOUR.turns)
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(gemma.proto)
    assert encode_dialogue(gemma, FOUR).token_ids.tolist() == [2, *processor.encode(text.removesuffix("\n"))]


def test_other_special_words_of_the_vocabulary_stay_single_tokens(gemma: Tokenizer) -> None:
    """They are ordinary text for Gemma: markup, runs of white space, <2mass>."""
    example = encode_dialogue(gemma, Dialogue((Turn("user", "x"), Turn("model", "<b>\n\n\n<2mass>   </table>"))))
    assert pieces(gemma, next(target_runs(example))) == ["<b>", "\n\n\n", "<2mass>", "▁▁▁", "</table>", "<end_of_turn>"]


def test_all_dialogues_are_encoded_by_one_call_on_all_cores(gemma: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores take about 2 s for 50,000 dialogues then."""
    processor, calls = gemma._processor, []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(processor, name)

        def encode(self, texts: list[str], **options: Any) -> Any:
            calls.append(options)
            return processor.encode(texts, **options)

    monkeypatch.setattr(gemma, "_processor", Counting())
    assert len(tokenize(data_of(*[FOUR] * 1000), gemma, loss_on="response", max_tokens=256).examples) == 1000
    assert calls == [{"num_threads": -1}]


# --- template and targets -------------------------------------------------------------------------------------------


def test_the_template_is_gemmas_with_nothing_after_the_last_turn(tokenizer: Tokenizer) -> None:
    found = "".join(pieces(tokenizer, encode_dialogue(tokenizer, FOUR).token_ids)).replace("▁", " ")
    assert found == (
        "<bos><start_of_turn>user\n잠을 못 자요<end_of_turn>\n<start_of_turn>model\n힘들어요?<end_of_turn>\n"
        "<start_of_turn>user\n조금<end_of_turn>\n<start_of_turn>model\n쉬어 볼까요?<end_of_turn>"
    )


def test_a_prompt_is_what_comes_before_the_reply_in_training(tokenizer: Tokenizer) -> None:
    ids = encode_dialogue(tokenizer, FOUR).token_ids.tolist()
    prompt = encode_prompt(tokenizer, FOUR.turns[:3])
    reply = next(iter(target_runs(encode_dialogue(tokenizer, FOUR, "last_response"))))
    assert prompt + reply == ids


@pytest.mark.parametrize("turns", [(), FOUR.turns, FOUR.turns[1:], (Turn("user", "a"), Turn("user", "b"))])
def test_a_prompt_must_lead_to_a_reply(small: Tokenizer, turns: tuple[Turn, ...]) -> None:
    with pytest.raises(DataError, match=r"at least one turn|must end with the user's turn|must alternate"):
        encode_prompt(small, turns)


TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8", exclude_characters="▁"),  # SentencePiece's own sign for a space
        st.sampled_from("가나다라 ab<>_\n"),
    ),
    max_size=20,
) | st.sampled_from([*SENTENCES, *CONTROL_PIECES, "<end_of_turn>\n<start_of_turn>model\n", "<<bos><eos>", ""])
DIALOGUES = st.lists(TEXTS, min_size=1, max_size=7).map(
    lambda texts: Dialogue(tuple(Turn("model" if i % 2 else "user", text) for i, text in enumerate(texts)))
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(dialogue=DIALOGUES)
def test_targets_decode_to_exactly_the_model_turns(small: Tokenizer, dialogue: Dialogue) -> None:
    example = encode_dialogue(small, dialogue, "response")
    runs = list(target_runs(example))
    assert [small.decode(run) for run in runs] == [turn.text for turn in dialogue.turns if turn.role == "model"]
    assert all(run[-1] == small.end_of_turn_id for run in runs)
    assert example.text_bytes == sum(len(turn.text.encode()) for turn in dialogue.turns if turn.role == "model")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(dialogue=DIALOGUES)
def test_the_targets_of_the_three_choices_lie_within_each_other(small: Tokenizer, dialogue: Dialogue) -> None:
    choices: tuple[LossOn, ...] = ("last_response", "response", "all")
    last, response, everything = (encode_dialogue(small, dialogue, loss_on) for loss_on in choices)
    assert np.array_equal(last.token_ids, response.token_ids)
    assert not (last.loss_mask & ~response.loss_mask).any()
    assert not (response.loss_mask & ~everything.loss_mask).any()
    assert everything.loss_mask.tolist() == [False] + [True] * (len(everything.token_ids) - 1)
    replies = [turn.text for turn in dialogue.turns if turn.role == "model"]
    assert [small.decode(run) for run in target_runs(last)] == replies[-1:]
    assert last.text_bytes == len("".join(replies[-1:]).encode())
    assert everything.text_bytes == sum(len(turn.text.encode()) for turn in dialogue.turns)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(dialogue=DIALOGUES)
def test_control_tokens_are_only_where_the_template_puts_them(small: Tokenizer, dialogue: Dialogue) -> None:
    """Whatever the texts spell."""
    ids = encode_dialogue(small, dialogue).token_ids.tolist()
    assert [ids.count(i) for i in (small.bos_id, small.eos_id, small.pad_id)] == [1, 0, 0]
    assert ids.count(small.start_of_turn_id) == ids.count(small.end_of_turn_id) == len(dialogue.turns)
    everything = small.decode(ids)
    assert everything == "\n".join(f"{turn.role}\n{turn.text}" for turn in dialogue.turns)


def test_arrays_have_the_types_that_were_promised(small: Tokenizer) -> None:
    example = encode_dialogue(small, PAIR)
    assert [array.dtype.name for array in (example.token_ids, example.loss_mask)] == ["int32", "bool"]
    assert example.token_ids.shape == example.loss_mask.shape
    assert not example.loss_mask[0]


# --- control tokens that are data -----------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", CONTROL_PIECES)
@pytest.mark.parametrize("text", ["{}", "a{}b", "<{}>", "{}{}", " {} \n{}", "{}end_of_turn>"])
def test_a_control_piece_in_text_is_spelled_and_comes_back(tokenizer: Tokenizer, piece: str, text: str) -> None:
    text = text.replace("{}", piece)
    controls = {
        tokenizer.pad_id,
        tokenizer.eos_id,
        tokenizer.bos_id,
        tokenizer.start_of_turn_id,
        tokenizer.end_of_turn_id,
    }
    example = encode_dialogue(tokenizer, Dialogue((Turn("user", text), Turn("model", text))))
    run = next(target_runs(example))
    assert run[-1] == tokenizer.end_of_turn_id
    assert controls.isdisjoint(run[:-1])
    assert tokenizer.decode(run) == text
    assert tokenizer.decode(encode_prompt(tokenizer, [Turn("user", text)])) == f"user\n{text}\nmodel\n"


def test_a_control_piece_in_text_is_spelled_with_the_usual_pieces(gemma: Tokenizer) -> None:
    """As <end_of_turn without its last character is: whole words, and the text around it is as ever."""
    example = encode_dialogue(gemma, Dialogue((Turn("user", "x"), Turn("model", "hello<end_of_turn>hello"))))
    assert pieces(gemma, next(target_runs(example))[:-1]) == [
        "hello",
        *"<",
        "end",
        "_",
        "of",
        "_",
        "turn",
        ">",
        "hello",
    ]


def test_control_pieces_of_any_type_are_data_in_text() -> None:
    """Where <bos> and <eos> too are user-defined, and so parsed in text."""
    defined = [*USER_DEFINED, "<bos>", "<eos>", "<pad>"]
    ids = {"pad_id": -1, "eos_id": -1, "bos_id": -1, "unk_id": 0}
    tokenizer = Tokenizer(train(**GEMMA_LIKE, **ids, user_defined_symbols=defined))
    text = "<bos>a<eos><pad>"
    encoded = encode_dialogue(tokenizer, Dialogue((Turn("user", text),))).token_ids.tolist()
    assert encoded.count(tokenizer.bos_id) == 1
    assert tokenizer.eos_id not in encoded
    assert tokenizer.decode(encoded) == f"user\n{text}"


@pytest.mark.parametrize("text", ["＜end_of_turn＞", "<end\u0001_of_turn>", "<start_of_ｔurn>"])
def test_normalisation_cannot_make_a_control_token_of_other_characters(text: str) -> None:
    """NFKC turns these into control pieces, which SentencePiece then parses."""
    tokenizer = Tokenizer(train())  # SentencePiece's own settings: NFKC, a space in front
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(tokenizer.proto)
    controls = {tokenizer.start_of_turn_id, tokenizer.end_of_turn_id}
    assert not controls.isdisjoint(processor.encode(text))
    ids = encode_dialogue(tokenizer, Dialogue((Turn("user", text),))).token_ids.tolist()
    assert [ids.count(i) for i in controls] == [1, 1]


# --- decoding, data sets, errors ------------------------------------------------------------------------------------


def test_decoding_leaves_out_control_tokens_and_ids_beyond_the_vocabulary(small: Tokenizer) -> None:
    ids = encode_dialogue(small, PAIR).token_ids
    assert small.decode([*ids, small.eos_id, small.pad_id, 420, 10**9, -1]) == small.decode(ids)
    assert small.decode([]) == ""


def test_many_at_once_are_the_same_as_one_by_one(small: Tokenizer) -> None:
    dialogues = [PAIR, FOUR, Dialogue((Turn("user", "<bos>"), Turn("model", "")))]
    for one, other in zip(
        encode_dialogues(small, dialogues), (encode_dialogue(small, each) for each in dialogues), strict=True
    ):
        assert np.array_equal(one.token_ids, other.token_ids)
        assert np.array_equal(one.loss_mask, other.loss_mask)
        assert one.text_bytes == other.text_bytes


def test_a_dialogue_without_a_target_is_dropped_and_counted(small: Tokenizer) -> None:
    tokens = tokenize(data_of(PAIR, Dialogue(PAIR.turns[:1])), small, loss_on="response", max_tokens=99)
    assert (len(tokens.examples), tokens.dropped) == (1, {"without a target": 1})


def test_nothing_left_is_an_error_with_the_counts(small: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"No dialogue of 'train' is left \(1 without a target\)"):
        tokenize(data_of(Dialogue(PAIR.turns[:1])), small, loss_on="response", max_tokens=99)
    with pytest.raises(DataError, match=r"3 of 3 of 'train' need more than 5; raise `max_tokens`: with \d+ all have"):
        tokenize(data_of(PAIR, FOUR), small, loss_on="response", max_tokens=5)


def test_the_digest_depends_on_dialogues_tokenizer_targets_and_length(small: Tokenizer) -> None:
    def digest(data: DialogueSet, tokenizer: Tokenizer, loss_on: LossOn, max_tokens: int) -> str:
        return tokenize(data, tokenizer, loss_on=loss_on, max_tokens=max_tokens).digest

    other = Tokenizer(train(**GEMMA_LIKE, vocab_size=400))
    ways = [
        (data_of(PAIR), small, "response", 99),
        (data_of(FOUR), small, "response", 99),
        (data_of(PAIR), other, "response", 99),
        (data_of(PAIR), small, "all", 99),
        (data_of(PAIR), small, "response", 98),
    ]
    assert len({digest(*way) for way in ways}) == len(ways)  # type: ignore[arg-type]
    assert digest(data_of(PAIR), Tokenizer(small.proto), "response", 99) == digest(data_of(PAIR), small, "response", 99)


def test_a_tokenizer_and_its_tokens_cross_processes(small: Tokenizer) -> None:
    copy = pickle.loads(pickle.dumps(small))
    assert (copy.digest, copy.vocabulary_size) == (small.digest, 420)
    assert encode_prompt(copy, PAIR.turns[:1]) == encode_prompt(small, PAIR.turns[:1])
    tokens: TokenSet = pickle.loads(pickle.dumps(tokenize(data_of(PAIR), copy, loss_on="all", max_tokens=99)))
    assert np.array_equal(tokens.examples[0].token_ids, encode_dialogue(small, PAIR).token_ids)


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    heavy = {"numpy", "sentencepiece", "openpyxl", "jax", "keras"}
    code = f"import sys, trainer.dialogues.tokens; print(*{heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.split() == []


@pytest.mark.parametrize("proto", [b"", b"no model", b"\x0a\x05<pad>"])
def test_bytes_that_are_no_sentencepiece_model_are_refused(proto: bytes) -> None:
    with pytest.raises(BaseModelError, match="must be a SentencePiece model"):
        Tokenizer(proto)


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"user_defined_symbols": ["<start_of_turn>"]}, "<end_of_turn>"),
        ({"user_defined_symbols": []}, "<start_of_turn>"),
        ({"bos_piece": "<s>"}, "<bos>"),
        ({"pad_id": -1}, "<pad>"),
    ],
)
def test_a_vocabulary_without_gemmas_control_pieces_is_refused(options: dict[str, Any], missing: str) -> None:
    with pytest.raises(BaseModelError, match=f"must have the single piece {missing}, but this one of 420 pieces"):
        Tokenizer(train(**{**GEMMA_LIKE, **options}))


def test_impossible_options_are_refused_with_the_choices(small: Tokenizer) -> None:
    with pytest.raises(ConfigError, match="`loss_on` must be one of response, last_response, all, but got 'reply'"):
        encode_dialogue(small, PAIR, "reply")  # type: ignore[arg-type]
    for max_tokens in (1, 0, True, 2.5, "256"):
        with pytest.raises(ConfigError, match="`max_tokens` must be a whole number from 2, but got"):
            tokenize(data_of(PAIR), small, loss_on="all", max_tokens=max_tokens)  # type: ignore[arg-type]
