#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks W8A8 folders written by `haq quantize` against Python's transformers + compressed-tensors.

  check_folder.py --haq PROGRAM --text FILE [--ids N] FOLDER... [--random-weights FOLDER...]

For each folder:
  loads       AutoModelForCausalLM takes the folder, no tensor missing, left over or misshapen
  weights     every int8 tensor dequantized by the library equals value * scale of the file, exactly
  rest        every other tensor arrives with the bits of the file
and the logits against `haq logits`, mean KL divergence and top-1 agreement:
  per token   activations rounded per token as the folder says (scale max|x| / 127), ids at once
  generating  the library as it is, one id after the other through its cache, as text is generated
  prompt      the library as it is, all ids at once: printed beside the limits, not judged; also
              with keys and values rounded to bfloat16 as `haq` keeps them

`generating` and `prompt` differ because of one place in the library,
compute_dynamic_scales_and_zp(): for `strategy: token` it keeps the first two axes of the input and
reduces the others. An input [batch, tokens, channels] gets a scale per token. Experts get
[tokens, channels], where no axis is left to reduce, and all their tokens get one scale together;
the second line printed shows it. With one id at a time an expert sees one token, so its scale is
that token's. In every run the library's scale is max|x| / 127.5 and its cache float32: these
remain of the distance in `generating`.

Folders after --random-weights have logits so flat that the two scales alone turn the first choice
at up to a twentieth of the positions: there the runs of the library as it is are printed, not
judged. Near ties (our first logit leads by less than 0.05) explain disagreements and excuse none.

An architecture whose experts the library fuses into one module is checked by tensors alone, with
the library's dequantize(), and that is said. Prints a line per check and "N passed, N failed" last.
"""
import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import warnings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TQDM_DISABLE="1",
                  CUDA_VISIBLE_DEVICES="", TOKENIZERS_PARALLELISM="false")
warnings.filterwarnings("ignore")

import compressed_tensors  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from compressed_tensors.quantization import QuantizationArgs  # noqa: E402
from compressed_tensors.quantization.lifecycle import forward as ct_forward  # noqa: E402
from compressed_tensors.quantization.utils import compute_dynamic_scales_and_zp  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

import agreement  # noqa: E402

RANDOM_IDS = 2048  # positions for a model of random weights


class Tally:
    """Counts checks and prints them."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, folder, what, detail):
        self.passed += bool(good)
        self.failed += not good
        print(f"{'passed' if good else 'FAILED'}  {folder}  {what}: {detail}", flush=True)

    def note(self, folder, detail):
        print(f"note    {folder}  {detail}", flush=True)


def read_tensors(folder):
    """All tensors of a folder, sharded or not."""
    index = os.path.join(folder, "model.safetensors.index.json")
    names = ["model.safetensors"]
    if os.path.exists(index):
        with open(index, encoding="utf-8") as file:
            names = sorted(set(json.load(file)["weight_map"].values()))
    tensors = {}
    for name in names:
        tensors.update(load_file(os.path.join(folder, name)))
    return tensors


def same_bits(a, b):
    """Equal values of equal shape and type; NaN never occurs in a model."""
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def load_model(folder):
    config = transformers.CompressedTensorsConfig(run_compressed=False)
    with contextlib.redirect_stderr(io.StringIO()):
        return transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, quantization_config=config, output_loading_info=True,
            attn_implementation="eager")


def make_windows(haq, folder, text, limit):
    """The text's first ids, cut to the model's positions, each piece with our logits."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        context = json.load(file).get("max_position_embeddings", limit)
    out = subprocess.run([haq, "tokenize", folder, "--file", text, "--no-special", "--json"],
                         check=True, capture_output=True, text=True).stdout
    ids = json.loads(out)["ids"][:limit]
    pieces = [ids[begin:begin + context] for begin in range(0, len(ids), context)]
    return [(piece, our_logits(haq, folder, piece)) for piece in pieces]


def our_logits(haq, folder, ids):
    with tempfile.TemporaryDirectory() as scratch:
        ids_file, out = os.path.join(scratch, "ids"), os.path.join(scratch, "logits.safetensors")
        with open(ids_file, "w", encoding="utf-8") as file:
            file.write(",".join(map(str, ids)))
        subprocess.run([haq, "logits", folder, "--file", ids_file, "--out", out, "--quiet"],
                       check=True, capture_output=True)
        with safe_open(out, framework="np") as file:
            return file.get_tensor("logits")


def check_weights_in_model(tally, name, tensors, state):
    """Returns False when the library holds the linears under other names (fused experts)."""
    int8 = [key for key, value in tensors.items() if value.dtype == torch.int8]
    missing = [key for key in int8 if key not in state]
    if missing:
        tally.note(name, f"{len(missing)} of {len(int8)} int8 tensors have no module of their own "
                         f"in transformers {transformers.__version__} (such as {missing[0]}): "
                         "its experts are fused; checked by tensors, not by running them")
        return False
    wrong = [key for key in int8
             if not same_bits(state[key], tensors[key].float() * tensors[key + "_scale"].float())]
    tally.check(int8 and not wrong, name, "weights",
                f"{len(int8) - len(wrong)} of {len(int8)} dequantized tensors equal"
                + (f"; differs: {wrong[0]}" if wrong else ""))
    rest = [key for key in tensors if key not in int8 and not key.endswith("weight_scale")]
    wrong = [key for key in rest
             if key not in state or not same_bits(state[key], tensors[key].float())]
    tally.check(not wrong, name, "rest",
                f"{len(rest) - len(wrong)} of {len(rest)} other tensors equal"
                + (f"; differs: {wrong[0]}" if wrong else ""))
    return True


def check_weights_by_tensor(tally, name, tensors, args):
    int8 = [key for key, value in tensors.items() if value.dtype == torch.int8]
    wrong = []
    for key in int8:
        scale = tensors[key + "_scale"]
        theirs = ct_forward.dequantize(tensors[key], scale, args=args, dtype=torch.float32)
        if scale.shape != (tensors[key].shape[0], 1) or not same_bits(
                theirs, tensors[key].float() * scale.float()):
            wrong.append(key)
    tally.check(int8 and not wrong, name, "weights",
                f"{len(int8) - len(wrong)} of {len(int8)} equal by the library's dequantize()"
                + (f"; differs: {wrong[0]}" if wrong else ""))


def check_logits(tally, name, model, windows, random_weights):
    def note(what, result):
        limits = "within" if result.within_limits() else "OUTSIDE"
        tally.note(name, f"{what}: {result}; {limits} the limits")

    generating = agreement.measure(model, agreement.one_by_one, windows)
    if random_weights:
        note("generating", generating)
    else:
        tally.check(generating.within_limits(), name, "generating", generating)
    half = {"cache": agreement.HalfCache}
    note("prompt", agreement.measure(model, agreement.at_once, windows))
    note("prompt, bfloat16 cache", agreement.measure(model, agreement.at_once, windows, **half))
    linears = agreement.use_folder_rounding(model)
    result = agreement.measure(model, agreement.at_once, windows, **half)
    tally.check(linears > 0 and result.within_limits(), name, "per token",
                f"{result}; {linears} linears")


def check_folder(tally, folder, options, random_weights):
    name = os.path.basename(os.path.normpath(folder))
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        section = json.load(file)["quantization_config"]
    weights = QuantizationArgs(**next(iter(section["config_groups"].values()))["weights"])
    tensors = read_tensors(folder)
    try:
        model, info = load_model(folder)
    except (ValueError, KeyError, RuntimeError, AttributeError, NotImplementedError) as error:
        tally.note(name, f"transformers {transformers.__version__} cannot build this layout "
                         f"({type(error).__name__}: {str(error)[:120]}); checked by tensors")
        check_weights_by_tensor(tally, name, tensors, weights)
        return
    if not check_weights_in_model(tally, name, tensors, model.state_dict()):
        check_weights_by_tensor(tally, name, tensors, weights)
        return
    left = {key: value for key, value in info.items() if value}
    tally.check(not left, name, "loads", type(model).__name__ + (f"; {left}" if left else ""))
    model.eval()
    windows = make_windows(options.haq, folder, options.text,
                           min(options.ids, RANDOM_IDS) if random_weights else options.ids)
    check_logits(tally, name, model, windows, random_weights)


def show_library_scales():
    """Prints how many scales the library computes for `strategy: token`, and of which size."""
    args = QuantizationArgs(num_bits=8, type="int", symmetric=True, strategy="token", dynamic=True)
    counts = []
    for shape in ([1, 5, 8], [5, 8]):
        scale, _ = compute_dynamic_scales_and_zp(torch.ones(shape), args, None)
        counts.append(f"{scale.numel()} for 5 tokens as {shape}")
    print(f"the library's scales for strategy token: {', '.join(counts)}; "
          f"each max / {1 / scale.flatten()[0].item():g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--haq", required=True, help="the haq program")
    parser.add_argument("--text", required=True, help="UTF-8 text to compare logits on")
    parser.add_argument("--ids", type=int, default=8192,
                        help="how many ids of it, in windows of the model's context (default 8192)")
    parser.add_argument("--random-weights", nargs="+", default=[], metavar="FOLDER",
                        help=f"folders of untrained models, compared on {RANDOM_IDS} ids at most")
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    options = parser.parse_args()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, "
          f"compressed-tensors {compressed_tensors.__version__}")
    torch.set_num_threads(1)  # windows run side by side instead, in forked processes
    show_library_scales()
    tally = Tally()
    for folder in options.folders + options.random_weights:
        try:
            check_folder(tally, folder, options, folder in options.random_weights)
        except (OSError, KeyError, ValueError, subprocess.CalledProcessError) as error:
            detail = getattr(error, "stderr", None) or error
            tally.check(False, os.path.basename(os.path.normpath(folder)), "check", detail)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 0 if tally.failed == 0 and tally.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
