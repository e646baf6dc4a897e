"""The SDXL sibling: what the trainer computes is what gesso computes with the exported file."""

import sys
from pathlib import Path

import pytest
import torch

from gesso import ModelRef, Prompt
from gesso.models.detect import detect
from gesso.models.headers import read_header
from gesso.models.loading import LoadOptions, load_model
from gesso.models.readers import SafetensorsReader
from gesso.plugins.host import Host
from tools.shapes import denoiser, sdxl, warm_start
from tools.shapes.layouts import SD1
from tools.shapes.progress import load_checkpoint, save_checkpoint, write_tensors

CAPTIONS = ["a small cyan heart on a red background", "a red circle left of a blue star on a white background", ""]


@torch.inference_mode()
def test_export_round_trip(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layout = sdxl.SDXL()
    pair = sdxl.Pair(layout)
    save_checkpoint(tmp_path / "vae.safetensors", 1, {"vae": layout.vae()}, {})
    save_checkpoint(tmp_path / "unet.safetensors", 1, {"model": pair, "average": pair}, {})
    stats = {"mean": torch.tensor([0.1, -0.2, 0.3, 0.0]), "std": torch.tensor([1.0, 2.0, 0.5, 1.5])}
    write_tensors(tmp_path / "latents.safetensors", stats)
    target = tmp_path / "shapes-sdxl.safetensors"
    sdxl.export(layout, tmp_path, target)
    assert target.stat().st_size < 20_000_000
    host, header = Host.load("both", probe=False), read_header(target)
    match = detect(header, host)
    assert (match.family, match.variant) == ("sdxl", "base")
    options = LoadOptions(torch.device("cpu"), torch.float32, torch.float32)
    ref = ModelRef(role="checkpoint", name="shapes")
    model = load_model(ref, SafetensorsReader(target, header), match, host, options)
    assert (model.defaults.width, model.defaults.height) == (128, 128)

    pair = pair.half().float().eval()
    states, pooled = pair.encoded(CAPTIONS)
    noisy, times = torch.randn(3, 4, 16, 16), torch.tensor([500.0] * 3)
    noise = pair(noisy, times, CAPTIONS)
    sigma = float(model.sampling.sigmas[500])
    for i, caption in enumerate(CAPTIONS):
        role = "positive" if caption else "negative"
        encode = model.family.encode_prompt.load()
        entry = encode(model, [Prompt.plain(caption)], size=(128, 128), role=role, options={}).entries[0]
        torch.testing.assert_close(entry.tensors["context"], states[i : i + 1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(entry.tensors["pooled"], pooled[i : i + 1], rtol=1e-4, atol=1e-5)
        x = noisy[i : i + 1] * (sigma**2 + 1) ** 0.5
        x0 = model.family.predict.load()(model, x, sigma, entry)
        torch.testing.assert_close((x - x0) / sigma, noise[i : i + 1], rtol=1e-3, atol=1e-4)

    vae = layout.vae().eval()
    load_checkpoint(tmp_path / "vae.safetensors", {"vae": vae})
    pixels = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    raw = vae.encode(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).latent_dist.mean
    expected = (raw - stats["mean"][:, None, None]) / stats["std"][:, None, None]
    latents = model.vae.record.encode.load()(model.vae, pixels, None)
    torch.testing.assert_close(latents, expected, rtol=2e-2, atol=2e-2)


def test_the_padding_token_stays_zero() -> None:
    """One step of any optimizer must not move it, since the exported table has zeros there."""
    torch.manual_seed(0)
    pair = sdxl.Pair(sdxl.SDXL())
    loss = pair(torch.randn(2, 4, 8, 8), torch.tensor([10, 900]), CAPTIONS[:2]).square().mean()
    loss.backward()
    table = pair.big.get_input_embeddings().weight
    assert (table.grad[2] == 0).all()
    assert (table.grad[0] != 0).any()


def test_crops_cut_off_what_the_model_is_told() -> None:
    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    clean = torch.stack([rows, columns]).expand(64, 2, 16, 16)
    moved, told = sdxl.Pair(sdxl.SDXL()).varied(clean)
    assert torch.equal(moved[:, :, 0, 0] * 8, told["crops"].float())
    assert torch.equal(moved[:, :, -1, -1], torch.full((64, 2), 15.0))
    share = (told["crops"] > 0).any(1).float().mean()
    assert 0.05 < share < 0.5
    assert told["crops"].max() <= 48


def test_crops_reach_the_network() -> None:
    torch.manual_seed(0)
    pair = sdxl.Pair(sdxl.SDXL()).eval()
    noisy, times = torch.randn(1, 4, 16, 16), torch.tensor([500])
    with torch.inference_mode():
        plain = pair(noisy, times, CAPTIONS[:1])
        assert torch.equal(plain, pair(noisy, times, CAPTIONS[:1], crops=torch.zeros(1, 2, dtype=torch.int64)))
        assert not torch.equal(plain, pair(noisy, times, CAPTIONS[:1], crops=torch.tensor([[0, 40]])))


def test_a_warm_start_begins_near_the_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both stages as they are called, in a few steps: each lowers the error it learns by."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    teacher = denoiser.Pair(SD1())
    save_checkpoint(tmp_path / "t" / "unet.safetensors", 1, {"model": teacher, "average": teacher}, {})
    write_tensors(tmp_path / "x" / "latents.safetensors", {"latents": torch.randn(50, 4, 16, 16).half()})
    path, lowered = tmp_path / "x" / "unet.safetensors", {}

    class Errors(warm_start.Progress):
        def __call__(self, step: int, **losses: float) -> bool:
            lowered.setdefault(self.stage, []).append(losses["error"])
            return super().__call__(step, **losses)

    def run(stage: str) -> dict[str, torch.Tensor]:
        words = ["warm_start", stage, "--folder", str(path.parent), "--teacher", str(tmp_path / "t")]
        monkeypatch.setattr(sys, "argv", [*words, "--steps", "12", "--threads", "1"])
        warm_start.main()
        pair = sdxl.Pair(sdxl.SDXL())
        assert load_checkpoint(path, {"model": pair}) == 0
        return {name: tensor.clone() for name, tensor in pair.unet.state_dict().items()}

    monkeypatch.setattr(warm_start, "Progress", Errors)
    monkeypatch.setattr(warm_start, "BATCHES", {"text": 8, "attention": 2})
    with pytest.raises(SystemExit, match="'text' stage"):
        run("attention")
    before = run("text")
    kernel = "mid_block.attentions.0.proj_in.weight"
    assert torch.equal(before[kernel], teacher.unet.state_dict()[kernel].flatten(1))
    assert not before["add_embedding.linear_2.weight"].any()
    after = run("attention")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".attn" in name for name in changed)
    for errors in lowered.values():
        assert errors[-1] < 0.9 * errors[0]
    save_checkpoint(path, 5, {"model": sdxl.Pair(sdxl.SDXL()), "average": sdxl.Pair(sdxl.SDXL())}, {})
    with pytest.raises(SystemExit, match="past its beginning"):
        run("attention")
