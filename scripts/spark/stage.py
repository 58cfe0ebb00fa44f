"""What the training stages share: device, workers, checkpoints, progress lines, learning rate."""

import json
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist

SEED = 20261123


def choose_device(name):
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


def learning_rate(step, steps, steps_in_this_run, hold=0.5, floor=0.03):
    """Factor on the base rates: short warm-up after each start, constant until `hold`, then linear down to `floor`.

    It follows the count of steps, not the clock, so that a run in the background of other work is not cut short.
    """
    f = min(1.0, step / steps)
    falling = 1.0 if f < hold else max(floor, (1 - f) / (1 - hold))
    return min(1.0, (steps_in_this_run + 1) / 20) * falling


class Progress:
    """One line on the terminal and one JSON object in a log for the curves, every `every` steps."""

    def __init__(self, path, every=25):
        self.path, self.every, self.rows, self.started = path, every, [], time.monotonic()

    def step(self, step, **values):
        self.rows.append(values)
        if step % self.every == 0:
            mean = {name: sum(row[name] for row in self.rows) / len(self.rows) for name in values}
            self.rows = []
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
    def update(self, step):
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.values.values()), [p.detach() for p in self.live.values()], 1 - decay)
