# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a model in transformers agrees with `haq` on the same ids: ways to run it, figures.

A window is a pair (ids, our logits [T, vocab] float32, a numpy array); windows are independent.
"""
import concurrent.futures
import dataclasses
import functools
import math
import multiprocessing
import os

import torch
import transformers

MAX_KL = 0.005
MIN_TOP1 = 0.97
NEAR_TIE = 0.05  # our first logit leads our second by less
NORMAL_95 = 1.959964


@dataclasses.dataclass
class Agreement:
    """Sums over positions; add two with +."""
    positions: int = 0
    divergence: float = 0.0    # sum of KL(theirs || ours), nats
    disagreements: int = 0     # positions with another first choice
    near_disagreements: int = 0  # those of them where ours is a near tie
    near_ties: int = 0         # near ties of ours among all positions

    def __add__(self, other):
        return Agreement(*(a + b for a, b in
                           zip(dataclasses.astuple(self), dataclasses.astuple(other))))

    @property
    def kl(self):
        return self.divergence / self.positions

    @property
    def top1(self):
        return 1 - self.disagreements / self.positions

    def interval(self):
        """Wilson's 95 % interval of the top-1 agreement, positions taken as independent."""
        n, z2 = self.positions, NORMAL_95**2
        middle = (self.top1 + z2 / (2 * n)) / (1 + z2 / n)
        half = NORMAL_95 / (1 + z2 / n) * math.sqrt(
            self.top1 * (1 - self.top1) / n + z2 / (4 * n * n))
        return middle - half, middle + half

    def within_limits(self):
        return self.positions > 0 and self.kl <= MAX_KL and self.top1 >= MIN_TOP1

    def __str__(self):
        low, high = self.interval()
        return (f"KL {self.kl:.2e}, top-1 {100 * self.top1:.2f} % "
                f"({100 * low:.2f} to {100 * high:.2f}) of {self.positions}; "
                f"near ties: {self.near_disagreements} of {self.disagreements} disagreements, "
                f"{100 * self.near_ties / self.positions:.1f} % of all")


def compare(ours, theirs):
    p, q = (torch.log_softmax(logits.double(), -1) for logits in (theirs, ours))
    differs = ours.argmax(-1) != theirs.argmax(-1)
    first, second = ours.topk(2, -1).values.unbind(-1)
    near = first - second < NEAR_TIE
    return Agreement(len(ours), (p.exp() * (p - q)).sum().item(), int(differs.sum()),
                     int((differs & near).sum()), int(near.sum()))


class HalfCache(transformers.DynamicCache):
    """Keys and values rounded to bfloat16, as `haq` keeps them."""

    def update(self, key_states, value_states, *args, **kwargs):
        return super().update(key_states.bfloat16().float(), value_states.bfloat16().float(), *args,
                              **kwargs)


def at_once(model, ids, cache=transformers.DynamicCache):
    """All ids in one forward pass, as a prompt is read."""
    return model(torch.tensor([ids]), past_key_values=cache(), use_cache=True).logits[0]


def one_by_one(model, ids, cache=transformers.DynamicCache):
    """A forward pass for each id with the cache of those before it, as text is generated."""
    past = cache()
    return torch.cat([model(torch.tensor([[token]]), past_key_values=past, use_cache=True).logits[0]
                      for token in ids])


def round_per_token(module, inputs):
    """The rounding of the activations that the folder asks for; a row of zeros stays one."""
    x = inputs[0]
    largest = x.abs().amax(-1, keepdim=True).clamp(min=2.0**-100)
    return ((x * (127 / largest)).round().clamp(-127, 127) * (largest / 127),) + inputs[1:]


def use_folder_rounding(model):
    """Puts round_per_token in the place of the library's rounding; returns how many linears."""
    linears = 0
    for module in model.modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is not None and scheme.input_activations is not None:
            module.quantization_enabled = False
            module.register_forward_pre_hook(round_per_token)
            linears += 1
    return linears


# What a worker runs: it inherits the model by fork, so that the model is never pickled.
_run = None


def _measure_window(window):
    ids, ours = window
    with torch.inference_mode():
        return compare(torch.from_numpy(ours), _run(ids).float())


def measure(model, run, windows, **options):
    """The agreement of run(model, ids) over all windows; a process for each core."""
    global _run
    _run = functools.partial(run, model, **options)
    workers = min(len(os.sched_getaffinity(0)), len(windows))
    with concurrent.futures.ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("fork")) as pool:
        return sum(pool.map(_measure_window, windows), Agreement())
