"""A codebook that follows, does not die and is the same on many devices; and the bound at its codes."""

from __future__ import annotations

import itertools

import pytest
import torch

from genwright.batch import Batch
from genwright.errors import Incompatible
from genwright.families.codebook import Codebook
from genwright.families.vqvae import VQVAE
from genwright.nets.auto import Auto
from genwright.space import Real, Space, Symbol

PICTURE = Space((8, 8), (Real(1, bounded=True),))


def test_codes_are_the_moving_average_of_what_they_stand_for() -> None:
    torch.manual_seed(0)
    book = Codebook(3, 2, decay=0.9)
    h = torch.randn(50, 2)
    book.begin(h)
    count, total = book.count.clone(), book.total.clone()
    index = book.nearest(h)
    assert torch.equal(index, torch.cdist(h, book.vectors()).argmin(1))
    book.follow(h, index, step=1000)
    for k in range(3):
        mine = h[index == k]
        count[k] = 0.9 * count[k] + 0.1 * len(mine)
        total[k] = 0.9 * total[k] + 0.1 * mine.sum(0)
    torch.testing.assert_close(book.vectors(), total / count[:, None])


def test_the_mean_over_devices_is_what_one_device_would_have() -> None:
    torch.manual_seed(0)
    whole = Codebook(8, 2, decay=0.9)
    parts = [Codebook(8, 2, decay=0.9) for _ in range(2)]
    for book in parts:
        book.load_state_dict(whole.state_dict())
    whole.count *= 2  # of twice as many examples
    whole.total *= 2
    for step in range(5):
        h = torch.randn(40, 2)
        whole.follow(h, whole.nearest(h), step)
        for book, half in zip(parts, h.chunk(2), strict=True):
            book.follow(half, book.nearest(half), step)
        for name in ("count", "total"):
            mean = torch.stack([book.get_buffer(name) for book in parts]).mean(0)
            for book in parts:
                book.get_buffer(name).copy_(mean)
    assert torch.equal(parts[0].vectors(), parts[1].vectors())
    torch.testing.assert_close(parts[0].vectors(), whole.vectors())


def clusters(n: int, seed: int) -> torch.Tensor:
    """Around 32 places in the plane."""
    rng = torch.Generator().manual_seed(seed)
    where = 4 * torch.randn(32, 2, generator=torch.Generator().manual_seed(99))
    return where[torch.randint(0, 32, (n,), generator=rng)] + 0.05 * torch.randn(n, 2, generator=rng)


def test_dead_codes_are_put_back_into_use() -> None:
    used, error = {}, {}
    for repair in (False, True):
        torch.manual_seed(0)
        book = Codebook(32, 2, decay=0.99)
        book.begin(torch.tensor([[30.0, 30.0]]) + 0.1 * torch.randn(32, 2))  # far from everything
        for step in range(400):
            if repair:
                book.repair()
            h = clusters(256, step)
            book.follow(h, book.nearest(h), step)
        h = clusters(2000, 5000)
        index = book.nearest(h)
        used[repair] = len(index.unique())
        error[repair] = float((h - book.vectors()[index]).square().sum(1).mean())
        assert float(book.used()) == pytest.approx(used[repair] / 32, abs=0.1)
        assert book.perplexity() <= 32.001
    assert used[False] <= 16
    assert used[True] >= 28
    assert error[True] < 0.2 * error[False]


def test_repair_leaves_the_living_alone() -> None:
    torch.manual_seed(0)
    book = Codebook(4, 2, decay=0.9)
    book.count.copy_(torch.tensor([10.0, 10.0, 10.0, 0.01]))
    before = book.vectors().clone()
    assert book.repair() == 1
    after = book.vectors()
    torch.testing.assert_close(after[:3], before[:3])
    torch.testing.assert_close(after[3], book.spare[3])
    assert book.repair() == 0


def test_the_bound_is_below_the_sum_over_all_codes() -> None:
    torch.manual_seed(0)
    space = Space((), (Real(1), Symbol(3)))
    vqvae = VQVAE(space, {}, Auto("xs"), codes=3, dim=2, slots=2).eval()
    for p in vqvae.decoder.parameters():
        p.data *= 1.5  # so that the code says something
    x = torch.cat([torch.randn(6, 1), torch.randint(0, 3, (6, 1))], 1)
    with torch.no_grad():
        every = torch.tensor(list(itertools.product(range(3), repeat=2)))
        prior = vqvae.prior.log_prob(Batch(every))
        assert float(prior.exp().sum()) == pytest.approx(1, abs=1e-4)
        out = vqvae._decode(every)
        for one in x:
            nll = vqvae.space.nll(out, one.expand(9, -1), None, vqvae.learned_scale.log())
            truth = (prior - nll).logsumexp(0)
            bound = vqvae.log_prob(Batch(one[None]))
            assert float(bound) <= float(truth) + 1e-5
            assert float(bound) >= float((prior - nll).min()) - 1e-5
        total, n = vqvae.heldout(Batch(x))
        assert float(total / n) == pytest.approx(-float(vqvae.log_prob(Batch(x)).mean()), rel=1e-5)


def test_the_gradient_passes_the_rounding_and_the_code_keeps_its_place() -> None:
    torch.manual_seed(0)
    vqvae = VQVAE(PICTURE, {}, Auto("xs"), codes=16)
    assert vqvae.code == Space((4, 4), (Symbol(16),))
    x = torch.rand(8, 1, 8, 8) * 2 - 1
    vqvae.prepare(Batch(x))
    loss = vqvae.loss(Batch(x), "fit")
    loss["reconstruction"].backward()
    assert all(p.grad is not None for p in vqvae.encoder.parameters())
    assert "codebook" not in {name.split(".")[0] for name, _ in vqvae.named_parameters()}
    code = vqvae.eval().to_latent(Batch(x))
    vqvae.code.check(code)
    assert torch.equal(code, vqvae.to_latent(Batch(x)))
    again = vqvae.from_latent(code, torch.Generator().manual_seed(0))
    vqvae.space.check(again)
    assert vqvae.encode(Batch(x)).shape == (8, 4 * 4 * 16)
    other = x.clone()
    other[:, :, :2, :2] *= -1
    moved = (vqvae.to_latent(Batch(other)) != code).flatten(2).any(0)[0].view(4, 4)
    assert not moved[3].any()
    assert 1 <= float(vqvae.diagnostic_values["perplexity"]) <= 16
    assert float(vqvae.diagnostic_values["codes_used"]) <= 1


def test_measuring_changes_nothing() -> None:
    torch.manual_seed(0)
    vqvae = VQVAE(PICTURE, {}, Auto("xs"), codes=16).eval()
    before = {name: t.clone() for name, t in vqvae.state_dict().items()}
    vqvae.heldout(Batch(torch.zeros(4, 1, 8, 8)))
    vqvae.loss(Batch(torch.zeros(4, 1, 8, 8)), "fit")
    assert all(torch.equal(t, before[name]) for name, t in vqvae.state_dict().items())


def test_too_many_codes_are_refused_with_the_way_out() -> None:
    with pytest.raises(Incompatible, match=r"65,536 codes.*--set family\.factor=4"):
        VQVAE(Space((512, 512), (Real(1),)), {}, Auto("xs"), factor=2)
