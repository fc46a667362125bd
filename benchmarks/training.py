"""Examples a second of ALI's training: ours against a plain eager port of the same nets.

Both are in float32, with one thread. The port does what a first version would: two forward passes a
step (one for each player), two backward passes through all nets, default memory layout, an
optimiser that goes from tensor to tensor. Each side trains in a process of its own, ours in a
worker as a report's trainings do. Rounds alternate, so that a busy machine slows both; the ratio is
what counts.

    python benchmarks/training.py [--rounds 7] [--examples 512] [--width 16]
"""

import argparse
from functools import partial
from time import perf_counter

import numpy as np
import torch

from song_metric.ali import ALIEmbedding, discriminator_loss, encoder_decoder_loss
from song_metric.training import Trainer
from song_metric.workers import ONE_THREAD, Worker

SHAPES = {"whole examples": (64, 96), "patches": (64, 8)}
SCALE = 0.5, 0.3
kept = {}  # in a worker: the trainer of earlier rounds


class PlainTrainer(Trainer):
    "Trains as a first version would."

    def __init__(self, embedding, X):
        super().__init__(embedding, X)
        game = embedding.game_.to(memory_format=torch.contiguous_format)
        how = dict(betas=(0.5, 0.999), foreach=False)
        self.optimizers = [torch.optim.Adam(player, 2e-4, **how) for player in game.players()]

    def train_epoch(self, epoch):
        "One pass over the examples."
        torch.manual_seed(epoch)
        order = torch.randperm(len(self.data))
        self.embedding.game_.train()
        for rows in order.chunk(len(order) // self.embedding.batch_size):
            self.train_batch(rows)

    def train_batch(self, rows):
        "One update of each player, from a pass of its own."
        game = self.embedding.game_
        x = ((self.data[rows].float() - SCALE[0]) / SCALE[1]).unsqueeze(1)
        losses = encoder_decoder_loss, discriminator_loss
        for optimizer, loss_of in zip(self.optimizers, losses):
            mean, log_deviation, _ = game.encoder(x)
            z_hat = mean + torch.randn_like(mean) * log_deviation.exp()
            z = torch.randn_like(mean)
            loss = loss_of(game.discriminator(x, z_hat), game.discriminator(game.decoder(z), z))
            game.zero_grad()
            loss.backward()
            optimizer.step()


def new_trainer(ours, shape, args):
    "A trainer of nets that have not learned anything."
    torch.set_flush_denormal(ours)
    examples = np.random.default_rng(0).random((args.examples, *shape), dtype=np.float32)
    sizes = dict(width=args.width, batch_size=args.batch_size)
    ali = ALIEmbedding(epochs=0, device="cpu", **sizes).fit(examples)
    ali.scale_ = SCALE
    kind = Trainer if ours else PlainTrainer
    return kind(ali, torch.from_numpy(examples).half())


def rate(turn, ours, shape, args):
    "Examples a second in one round."
    if not kept:
        kept["trainer"] = new_trainer(ours, shape, args)
    begun = perf_counter()
    kept["trainer"].train_epoch(turn)
    return args.examples / (perf_counter() - begun)


def rates_of(shape, args):
    "Examples a second of both sides, `(round,)` each; the first round warms up."
    sides = {"plain": Worker(ONE_THREAD), "ours": Worker()}
    rates = {name: [] for name in sides}
    for turn in range(args.rounds + 1):
        for name, worker in sides.items():
            task = partial(rate, ours=name == "ours", shape=shape, args=args)
            rates[name].append(worker.ask(task, turn, print, name))
    for worker in sides.values():
        worker.stop()
    return np.array(rates["plain"][1:]), np.array(rates["ours"][1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in [("rounds", 7), ("examples", 512), ("width", 16), ("batch_size", 128)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    for title, shape in SHAPES.items():
        plain, ours = rates_of(shape, args)
        ratios = ours / plain
        print(
            f"{title:15s} {np.median(ours):6.0f} examples a second, "
            f"the port {np.median(plain):6.0f}: ratio {np.median(ratios):.2f} "
            f"(from {ratios.min():.2f} to {ratios.max():.2f} in {args.rounds} rounds)"
        )


if __name__ == "__main__":
    main()
