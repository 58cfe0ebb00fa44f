"""What the training stages share: device, workers, checkpoints, progress lines, learning rate."""

import argparse
import json
import math
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist

SEED = 20261123


def choose_device(name):
    torch.set_float32_matmul_precision("high")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def save_atomically(value, path):
    """Write beside the final name, then rename, so that an interrupted save leaves the previous checkpoint."""
    part = Path(str(path) + ".part")
    torch.save(value, part)
    os.replace(part, path)


class Workers:
    """Gradient averaging between one-threaded processes.

    On a machine that is busy with other work, several processes that meet once a step lose far less time than threads
    that meet in every layer. With one worker (always on a GPU) nothing happens.
    """

    def __init__(self, rank, count, work):
        self.rank, self.count = rank, count
        if count > 1:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
            meeting = meeting_file(work).as_uri()
            dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)

    @property
    def first(self):
        return self.rank == 0

    def all_agree(self, going_on):
        """False for all as soon as it is false for one."""
        if self.count == 1:
            return going_on
        answer = torch.tensor(float(going_on))
        dist.all_reduce(answer, dist.ReduceOp.MIN)
        return bool(answer)

    def average_gradients(self, parameters):
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        position = 0
        for gradient in gradients:
            gradient.copy_(flat[position : position + gradient.numel()].view_as(gradient))
            position += gradient.numel()


def meeting_file(work):
    return (Path(work) / "workers.meet").absolute()


def launch(function, arguments):
    """Run `function(rank, arguments)` in `arguments.workers` processes."""
    if arguments.workers == 1:
        function(0, arguments)
    else:
        meeting_file(arguments.work).unlink(missing_ok=True)
        torch.multiprocessing.spawn(function, (arguments,), nprocs=arguments.workers)


class Plan:
    """How far a stage is, when its run ends, and the learning rate that follows from it.

    A stage is planned either by `--steps` or by `--plan-minutes`, in both cases over all of its runs; `--minutes` ends
    one run early, with a checkpoint to go on from. In the background of other work, plan by steps: the clock says nothing there.
    """

    def __init__(self, arguments, step=0, spent=0.0):
        self.steps, self.seconds = arguments.steps, 60 * (arguments.plan_minutes or 0)
        self.end = 60 * arguments.minutes if arguments.minutes else math.inf
        self.first_step, self.spent_before, self.started = step, spent, time.monotonic()

    @property
    def spent(self):
        """Seconds of all runs of this stage."""
        return self.spent_before + time.monotonic() - self.started

    def fraction(self, step):
        return min(1.0, self.spent / self.seconds if self.seconds else step / self.steps)

    def goes_on(self, step):
        return self.fraction(step) < 1 and time.monotonic() - self.started < self.end

    def learning_rate(self, step, hold=0.5, floor=0.03):
        """Factor on the base rates: short warm-up after each start, constant until `hold`, then linear down to `floor`."""
        fraction = self.fraction(step)
        falling = 1.0 if fraction < hold else max(floor, (1 - fraction) / (1 - hold))
        return min(1.0, (step - self.first_step + 1) / 20) * falling


def stage_arguments(description, steps):
    """The options that all training stages have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", default="target/spark", help="folder of pictures and checkpoints")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--steps", type=int, default=steps, help="planned steps over all runs; run again with more to go on")
    parser.add_argument("--plan-minutes", type=float, help="plan the stage by time instead of steps, over all runs")
    parser.add_argument("--minutes", type=float, help="end this run after so long, with a checkpoint to go on from")
    parser.add_argument("--workers", type=int, default=1, help="processes on the CPU")
    parser.add_argument("--threads", type=int, default=2, help="threads of each worker")
    parser.add_argument("--save-every", type=float, default=180, help="seconds between checkpoints")
    parser.add_argument("--compile", action="store_true", help="let torch compile the networks; without effect if it cannot")
    return parser


def compiled(function, wanted, *example):
    """`function` compiled by torch, or as it is where that does not work.

    Proved on `example` forward and backward, since torch compiles each at its first use; leaves gradients behind.
    `function` returns a loss first, for the proof to go backward from.
    """
    if not wanted:
        return function
    try:
        faster = torch.compile(function)
        faster(*example)[0].backward()
        return faster
    except Exception as problem:  # no compiler, or one of its many errors
        print(f"not compiled: {str(problem).splitlines()[0]}", flush=True)
        return function


class Progress:
    """One line on the terminal and one JSON object in a log for the curves, every `every` steps.

    Values may be tensors; they are fetched from the device only when a line is due.
    """

    def __init__(self, path, every=25):
        self.path, self.every, self.rows, self.started = path, every, [], time.monotonic()

    def step(self, step, **values):
        self.rows.append(values)
        if step % self.every == 0:
            mean = {name: sum(float(row[name]) for row in self.rows) / len(self.rows) for name in values}
            self.rows = []
            if not all(math.isfinite(value) for value in mean.values()):
                raise SystemExit(f"training broke down before step {step}: {mean}; go on from the last checkpoint with a lower rate")
            self.note(step=step, **{name: round(value, 5) for name, value in mean.items()})

    def note(self, **values):
        values["seconds"] = round(time.monotonic() - self.started)
        print("  ".join(f"{name} {value}" for name, value in values.items()), flush=True)
        with open(self.path, "a", encoding="utf-8") as log:
            log.write(json.dumps(values) + "\n")


class Average:
    """Exponential moving average of named parameters."""

    def __init__(self, named, decay):
        self.decay = decay
        self.live = dict(named)
        self.values = {name: parameter.detach().clone() for name, parameter in self.live.items()}

    @torch.no_grad()
    def load(self, values):
        for name, value in self.values.items():
            value.copy_(values[name])

    @torch.no_grad()
    def update(self, step):
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.values.values()), [p.detach() for p in self.live.values()], 1 - decay)
