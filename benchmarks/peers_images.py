"""Other people's image models on the same pictures for the same time, in an environment of their own.

    pip install torch torchvision pythae denoising-diffusion-pytorch
    python benchmarks/peers_images.py pythae-vae train.npz out.npz --minutes 10 -n 5000 [--seed 0]

pythae-vae  the VAE of pythae 0.1.2 with its convolutional nets for MNIST, latent 16, batch 100, Adam 1e-3, as
            in its reproducibility table (sampled from the normal prior)
ddpm        the U-Net (dim 32, multipliers 1 2 4) and Gaussian diffusion of denoising-diffusion-pytorch 2.3.4,
            batch 64, Adam 3e-4 (its trainer's 8e-5 learns too little in minutes), weights averaged at .995;
            50 DDIM steps

`train.npz` holds `images` uint8 (n, 28, 28); `out.npz` gets as many new ones as asked for.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor


def pythae_vae(images: Tensor, seconds: float, n: int, seed: int) -> tuple[Tensor, int]:
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_VAE_MNIST
    from pythae.samplers import NormalSampler
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Watch(TrainingCallback):
        steps = 0

        def on_train_step_end(self, training_config: object, **kwargs: object) -> None:
            self.steps += 1
            if time.monotonic() > end:
                raise TimeoutError

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=16)
    model = VAE(config, encoder=Encoder_Conv_VAE_MNIST(config), decoder=Decoder_Conv_AE_MNIST(config))
    data = BaseDataset(images, torch.zeros(len(images)))
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=10_000,
            learning_rate=1e-3,
            per_device_train_batch_size=100,
            seed=seed,
            no_cuda=True,
        )
        trainer = BaseTrainer(model, data, training_config=settings, callbacks=[watch])
        end = time.monotonic() + seconds
        with suppress(TimeoutError):
            trainer.train()
        torch.manual_seed(seed)
        made = NormalSampler(model.eval()).sample(num_samples=n, return_gen=True)
    return made.reshape(n, 28, 28), watch.steps


def ddpm(images: Tensor, seconds: float, n: int, seed: int) -> tuple[Tensor, int]:
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet
    from ema_pytorch import EMA

    torch.manual_seed(seed)
    model = GaussianDiffusion(
        Unet(dim=32, dim_mults=(1, 2, 4), channels=1), image_size=28, sampling_timesteps=50
    )
    averaged = EMA(model, beta=0.995, update_every=10)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4, betas=(0.9, 0.99))
    end, steps = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        loss = model(images[torch.randint(0, len(images), (64,))])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        averaged.update()
        steps += 1
    torch.manual_seed(seed)
    averaged.ema_model.eval()
    parts = [averaged.ema_model.sample(batch_size=min(250, n - at)) for at in range(0, n, 250)]
    return torch.cat(parts).reshape(n, 28, 28), steps


MAKERS: dict[str, Callable[[Tensor, float, int, int], tuple[Tensor, int]]] = {
    "pythae-vae": pythae_vae,
    "ddpm": ddpm,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("maker", choices=MAKERS)
    parser.add_argument("train")
    parser.add_argument("out")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    images = torch.from_numpy(np.load(args.train)["images"]).float().div(255)[:, None]
    made, steps = MAKERS[args.maker](images, 60 * args.minutes, args.n, args.seed)
    pictures = (made.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    np.savez(args.out, images=pictures)
    print(steps)


if __name__ == "__main__":
    main()
