"""Write the tiny model that the tests judge with: a bag of weighted words, a few KB of ONNX.

    python scripts/make_tiny_bundle.py

Rewrites tests/data/tiny_bundle/{model.onnx,tokenizer.json}. Needs the `onnx` package (in the
`train` extra); the tests themselves only read the stored files.
"""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

OUT = Path(__file__).parent.parent / "tests" / "data" / "tiny_bundle"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LOUD = {"ignore": 3, "previous": 2, "instructions": 3, "override": 3, "reveal": 2, "forget": 2}
QUIET = {"please": -1, "thanks": -1, "recipe": -1, "weather": -1}
BIAS = -4.0
WITH_CHECKPOINT = 0.5
WORDS = """
a about after again all also always an and any apple are as ask at away back bake bank be because
been before below bird blue boat book bread bring brown but buy by cake call can car cat chapter
check city class clear cloud code coffee cold come cook could course cup daily data day dear did
dinner do doc document does dog done door down draft drink each early east easy eat email end evening
every fact family far fast few file find first fish five flour flower follow food for four fresh
friend from fruit full garden get give go good grand great green guide had half hand happy has have
he hello help her here high hill him his history home hope hour house how i idea if important in
input into is it its job juice just keep key kind know lake large last late learn leave letter light
like line list little live long look love lunch made make many map market may me meal meeting memory
milk minute model money month moon more morning most mountain move much music must my name near need
never new news next nice night no north not note now number ocean of off often old on one only open
or order other our out over page paint paper park part pay people pepper phone picture place plan
plant play point price question quick quiet rain read ready red report rest response rice river road
room round run salt same say school sea secret see send set seven she short show simple sing six sky
slow small snow so some song soon soup south space spring star start stay still stone story street
sugar summer sun sweet system table take talk tea tell ten test text than that the their them then
there these they thing think this three ticket time to today tomorrow tool town train travel tree
trip try two under until up use user very visit wait walk want warm was water way we week well were
west what when where which white who why will wind winter with word work world would write year
yellow yes yesterday you young your description output
"""


def vocabulary() -> dict[str, int]:
    chars = [c for c in string.printable.lower() if c.isprintable() and c != " "]
    letters = string.ascii_lowercase + string.digits
    tokens = [*SPECIAL, *chars, *(f"##{c}" for c in letters), *WORDS.split(), *LOUD, *QUIET]
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def build_tokenizer(vocab: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocab[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.enable_truncation(16)  # as many published tokenizer.json files have it
    tokenizer.enable_padding(length=16, pad_id=0, pad_token="[PAD]")
    return tokenizer


def build_model(vocab: dict[str, int]) -> onnx.ModelProto:
    weights = np.zeros(len(vocab), np.float32)
    for word, weight in (LOUD | QUIET).items():
        weights[vocab[word]] = weight
    constants = {
        "weights": weights,
        "bias": np.array([BIAS], np.float32),
        "with_checkpoint": np.array([WITH_CHECKPOINT], np.float32),
        "sides": np.array([[-0.5, 0.5]], np.float32),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["token"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["token", "mask"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "axis"], ["sum"], keepdims=1),
        helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["types"], ["paired"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["paired", "with_checkpoint"], ["origin"]),
        helper.make_node("Add", ["sum", "origin"], ["evidence"]),
        helper.make_node("Add", ["evidence", "bias"], ["margin"]),
        helper.make_node("MatMul", ["margin", "sides"], ["logits"]),
    ]
    names = ("input_ids", "attention_mask", "token_type_ids")
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["W", "T"]) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["W", 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    vocab = vocabulary()
    build_tokenizer(vocab).save(str(OUT / "tokenizer.json"), pretty=False)
    onnx.save(build_model(vocab), str(OUT / "model.onnx"))
    for path in sorted(OUT.iterdir()):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
