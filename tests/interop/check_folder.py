#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks W8A8 folders written by `haq quantize` against Python's transformers + compressed-tensors.

  check_folder.py --haq PROGRAM --text FILE [--ids N] FOLDER...

For each folder:
  loads      AutoModelForCausalLM takes the folder, no tensor missing, left over or misshapen
  weights    every int8 tensor dequantized by the library equals value * scale of the file, exactly
  rest       every other tensor arrives with the bits of the file
  per token  logits with the activations rounded per token as the folder says (scale max|x| / 127)
             against `haq logits`: mean KL divergence and top-1 agreement
  as loaded  the same with the library's own rounding: printed beside the limits, not judged. Its
             scale is max|x| / 127.5, and it takes one scale for all tokens of an expert (its
             per-token rule counts two leading axes, experts' inputs have one), so this measures
             the distance of two roundings, not the folder.
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
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

MAX_KL = 0.005
MIN_TOP1 = 0.97


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


class HalfCache(transformers.DynamicCache):
    """Keys and values rounded to bfloat16, as `haq` keeps them."""

    def update(self, key_states, value_states, *args, **kwargs):
        return super().update(key_states.bfloat16().float(), value_states.bfloat16().float(), *args,
                              **kwargs)


def load_model(folder):
    config = transformers.CompressedTensorsConfig(run_compressed=False)
    with contextlib.redirect_stderr(io.StringIO()):
        return transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, quantization_config=config, output_loading_info=True,
            attn_implementation="eager")


def token_ids(haq, folder, text, limit):
    """The text's ids, cut to the limit and to the model's positions."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        limit = min(limit, json.load(file).get("max_position_embeddings", limit))
    out = subprocess.run([haq, "tokenize", folder, "--file", text, "--no-special", "--json"],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out)["ids"][:limit]


def our_logits(haq, folder, ids):
    with tempfile.TemporaryDirectory() as scratch:
        ids_file, out = os.path.join(scratch, "ids"), os.path.join(scratch, "logits.safetensors")
        with open(ids_file, "w", encoding="utf-8") as file:
            file.write(",".join(map(str, ids)))
        subprocess.run([haq, "logits", folder, "--file", ids_file, "--out", out, "--quiet"],
                       check=True, capture_output=True)
        with safe_open(out, framework="pt") as file:
            return file.get_tensor("logits")


def compare_logits(ours, theirs):
    """Mean KL divergence from theirs to ours, and the share of equal first choices."""
    p, q = (torch.log_softmax(x.double(), -1) for x in (theirs, ours))
    kl = (p.exp() * (p - q)).sum(-1).mean().item()
    return kl, (ours.argmax(-1) == theirs.argmax(-1)).double().mean().item()


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


def round_per_token(module, inputs):
    """The rounding of the activations that the folder asks for; a row of zeros stays one."""
    x = inputs[0]
    largest = x.abs().amax(-1, keepdim=True).clamp(min=2.0**-100)
    return ((x * (127 / largest)).round().clamp(-127, 127) * (largest / 127),) + inputs[1:]


def check_logits(tally, name, model, ids, ours):
    def measure():
        with torch.inference_mode():
            output = model(torch.tensor([ids]), past_key_values=HalfCache(), use_cache=True)
            theirs = output.logits[0]
        kl, top1 = compare_logits(ours, theirs.float())
        detail = f"mean KL {kl:.2e}, top-1 {100 * top1:.2f} % over {len(ids)} ids"
        return kl <= MAX_KL and top1 >= MIN_TOP1, detail

    good, detail = measure()
    tally.note(name, f"as loaded: {detail}, {'within' if good else 'OUTSIDE'} the limits")
    linears = 0
    for module in model.modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is not None and scheme.input_activations is not None:
            module.quantization_enabled = False  # the library's own rounding off
            module.register_forward_pre_hook(round_per_token)
            linears += 1
    good, detail = measure()
    tally.check(good and linears > 0, name, "per token", f"{detail}, {linears} linears")


def check_folder(tally, folder, options):
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
    ids = token_ids(options.haq, folder, options.text, options.ids)
    ours = our_logits(options.haq, folder, ids)
    check_logits(tally, name, model, ids, ours)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--haq", required=True, help="the haq program")
    parser.add_argument("--text", required=True, help="UTF-8 text to compare logits on")
    parser.add_argument("--ids", type=int, default=512, help="how many ids of it (default 512)")
    parser.add_argument("folders", nargs="+")
    options = parser.parse_args()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, "
          f"compressed-tensors {compressed_tensors.__version__}")
    tally = Tally()
    for folder in options.folders:
        try:
            check_folder(tally, folder, options)
        except (OSError, KeyError, ValueError, subprocess.CalledProcessError) as error:
            detail = getattr(error, "stderr", None) or error
            tally.check(False, os.path.basename(os.path.normpath(folder)), "check", detail)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 0 if tally.failed == 0 and tally.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
