"""Examples a second of ALI's training, against a plain eager port (float32, one thread each).

The port does what a first version would: two forward passes a step (one for each player), two
backward passes through all nets, default memory layout, an optimiser that goes from tensor to
tensor. Each side trains in a process of its own, ours in a worker as a report's trainings do.
Rounds alternate, so that a busy machine slows both; the ratio is what counts.

    python benchmarks/training.py [--rounds 7] [--examples 512] [--width 16]
"""

import argparse
from functools import partial
from time import perf_counter

import numpy as np
import torch

from song_metric.ali import ALIEmbedding, discriminator_loss, encoder_decoder_loss, train_epoch
from song_metric.workers import ONE_THREAD, Worker

SHAPES = {"whole examples": (64, 96), "patches": (64, 8)}
SCALE = 0.5, 0.3
kept = {}  # in a worker: nets and optimisers of earlier rounds


def plain_epoch(game, examples, optimizers, batch_size, seed):
    "One epoch as a first version would write it."
    torch.manual_seed(seed)
    order = torch.randperm(len(examples))
    game.train()
    for index in order.chunk(len(order) // batch_size):
        x = ((examples[index].float() - SCALE[0]) / SCALE[1]).unsqueeze(1)
        for optimizer, loss_of in zip(optimizers, (encoder_decoder_loss, discriminator_loss)):
            mean, log_deviation, _ = game.encoder(x)
            z_hat = mean + torch.randn_like(mean) * log_deviation.exp()
            z = torch.randn_like(mean)
            loss = loss_of(game.discriminator(x, z_hat), game.discriminator(game.decoder(z), z))
            game.zero_grad()
            loss.backward()
            optimizer.step()


def start(ours, shape, args):
    "The examples, an embedding whose nets have not learned anything, and its optimisers."
    torch.set_flush_denormal(ours)
    examples = np.random.default_rng(0).random((args.examples, *shape), dtype=np.float32)
    ali = ALIEmbedding(epochs=0, width=args.width, batch_size=args.batch_size, device="cpu").fit(
        examples
    )
    ali.scale_ = SCALE
    if not ours:
        ali.game_.to(memory_format=torch.contiguous_format)
    opponents = [*ali.game_.encoder.parameters(), *ali.game_.decoder.parameters()]
    how = dict(fused=True) if ours else dict(foreach=False)
    players = opponents, ali.game_.discriminator.parameters()
    return (
        torch.from_numpy(examples).half(),
        ali,
        [torch.optim.Adam(p, 2e-4, betas=(0.5, 0.999), **how) for p in players],
    )


def rate(turn, ours, shape, args):
    "Examples a second in one round."
    if not kept:
        kept["all"] = start(ours, shape, args)
    examples, ali, optimizers = kept["all"]
    begun = perf_counter()
    if ours:
        train_epoch(ali, examples, optimizers, turn)
    else:
        plain_epoch(ali.game_, examples, optimizers, args.batch_size, turn)
    return len(examples) / (perf_counter() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in [("rounds", 7), ("examples", 512), ("width", 16), ("batch_size", 128)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    for title, shape in SHAPES.items():
        sides = {"plain": Worker(ONE_THREAD), "ours": Worker()}
        tasks = {name: partial(rate, ours=name == "ours", shape=shape, args=args) for name in sides}
        rates = {name: [] for name in sides}
        for turn in range(args.rounds + 1):  # the first turn warms up
            for name, worker in sides.items():
                rates[name].append(worker.ask(tasks[name], turn, print, name))
        for worker in sides.values():
            worker.stop()
        plain, ours = (np.array(rates[name][1:]) for name in ("plain", "ours"))
        ratios = ours / plain
        rates = f"{np.median(ours):6.0f} examples a second, the port {np.median(plain):6.0f}"
        spread = f"from {ratios.min():.2f} to {ratios.max():.2f} in {args.rounds} rounds"
        ratio = f"ratio {np.median(ratios):.2f} ({spread})"
        print(f"{title:15s} {rates}: {ratio}, float32, one thread")


if __name__ == "__main__":
    main()
