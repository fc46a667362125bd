"""Examples a second of ALI's training: ours against a plain float32 port of the same nets, side by side in one process.

The port does what a first version would: two forward passes a step (one for each player), two backward passes through the discriminator, float32, default memory layout.
Rounds alternate, so that a busy machine slows both; the ratio is what counts.

    python benchmarks/training.py [--rounds 5] [--examples 1024] [--width 16]
"""
import argparse
from time import perf_counter

import numpy as np
import torch

from song_metric.ali import Game, discriminator_loss, encoder_decoder_loss, half_precision, pick_device, train_epoch


def plain_epoch(game, examples, optimizers, batch_size, epoch_seed, scale):
    "One epoch as a first version would write it."
    torch.manual_seed(epoch_seed)
    order = torch.randperm(len(examples))
    game.train()
    for index in order.chunk(len(order) // batch_size):
        x = ((examples[index].float() - scale[0]) / scale[1]).unsqueeze(1).to(next(game.parameters()).device)
        for optimizer, loss_of in zip(optimizers, (encoder_decoder_loss, discriminator_loss)):
            mean, log_deviation, _ = game.encoder(x)
            z_hat = mean + torch.randn_like(mean) * log_deviation.exp()
            z = torch.randn_like(mean)
            loss = loss_of(game.discriminator(x, z_hat), game.discriminator(game.decoder(z), z))
            game.zero_grad()
            loss.backward()
            optimizer.step()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in [("rounds", 5), ("examples", 1024), ("width", 16), ("bands", 64), ("frames", 96), ("batch_size", 128)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    device = pick_device()
    examples = torch.from_numpy(np.random.default_rng(0).random((args.examples, args.bands, args.frames), dtype=np.float32)).half()
    rates = {"plain": [], "ours": []}
    sides = {}
    for name in rates:
        torch.manual_seed(0)
        game = Game((args.bands, args.frames), width=args.width).to(device)
        if name == "ours": game = game.to(memory_format=torch.channels_last)
        opponents = [*game.encoder.parameters(), *game.decoder.parameters()]
        sides[name] = game, [torch.optim.Adam(p, 2e-4, betas=(0.5, 0.999)) for p in (opponents, game.discriminator.parameters())]
    for turn in range(-1, args.rounds):                      # the first turn warms up
        for name, (game, optimizers) in sides.items():
            start = perf_counter()
            if name == "plain": plain_epoch(game, examples, optimizers, args.batch_size, turn + 1, (0.5, 0.3))
            else: train_epoch(game, examples, optimizers, args.batch_size, turn + 1, (0.5, 0.3), half_precision(device))
            if device.type == "cuda": torch.cuda.synchronize()
            if turn >= 0: rates[name].append(args.examples / (perf_counter() - start))
    for name, rate in rates.items(): print(f"{name:6s} {np.median(rate):7.0f} examples a second (rounds: {', '.join(f'{r:.0f}' for r in rate)})")
    ratios = np.array(rates["ours"]) / np.array(rates["plain"])
    print(f"ratio  {np.median(ratios):.2f} (from {ratios.min():.2f} to {ratios.max():.2f}) on {device}, {torch.get_num_threads()} threads, {'bfloat16' if half_precision(device) else 'float32'}")


if __name__ == "__main__":
    main()
