"""Other people's StyleGAN2 weights give the same pictures here, and nothing in their files is ever run."""

from __future__ import annotations

import argparse
import io
import math
import os
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import reference_stylegan2 as ref
from gansmith import config as configs
from gansmith.errors import ModelError
from gansmith.gans.stylegan2 import StyleGAN2
from gansmith.importers import Imported, import_file
from gansmith.importers.safe_pickle import Refused

SMALL: dict[str, Any] = {"channel_base": 512, "channel_max": 24, "conv_clamp": 256}


def ours(imported: Imported) -> StyleGAN2:
    game = StyleGAN2(configs.make(StyleGAN2.Config, imported.config, "test"), imported.spec)
    missing, unexpected = game.load_state_dict({**imported.tensors, **imported.discriminator}, strict=False)
    assert not unexpected
    assert set(missing) <= {
        "path_mean",
        *([n for n in missing if n.startswith("discriminator.")] if not imported.discriminator else []),
    }
    return game.eval()


def networks(
    classes: int = 0, channels: int = 3, size: int = 32, clamp: float | None = 256
) -> tuple[ref.Generator, ref.Discriminator]:
    torch.manual_seed(1)
    synthesis = ref.EasyDict(SMALL, conv_clamp=clamp, num_fp16_res=4)
    generator = ref.Generator(
        z_dim=20, c_dim=classes, w_dim=24, img_resolution=size, img_channels=channels,
        mapping_kwargs=ref.EasyDict(num_layers=3), synthesis_kwargs=synthesis,
    )  # fmt: skip
    settings = {**SMALL, "conv_clamp": clamp, "num_fp16_res": 4, "epilogue_kwargs": ref.EasyDict(mbstd_group_size=4)}
    return generator, ref.Discriminator(c_dim=classes, img_resolution=size, img_channels=channels, **settings)


def same_pictures(imported: Imported, generator: ref.Generator, discriminator: ref.Discriminator | None) -> None:
    game, classes = ours(imported), generator.c_dim
    z = torch.randn(8, 20, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(8) % classes if classes else None
    one_hot = None if labels is None else torch.nn.functional.one_hot(labels, classes).float()
    with torch.no_grad():
        for psi in (1.0, 0.6):
            theirs = generator(z, one_hot, truncation_psi=psi)
            picture = game.generator(z, labels, truncation=psi, noise="const")
            assert theirs.std() > 0.1
            torch.testing.assert_close(picture, theirs, atol=1e-4, rtol=0)
        if discriminator is not None:
            images = theirs.clamp(-1, 1)
            expected = discriminator(images, one_hot)
            torch.testing.assert_close(
                game.discriminator(images, labels), expected, atol=1e-3 * float(expected.abs().max()), rtol=0
            )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_an_ada_pickle_gives_the_same_pictures(tmp_path: Path, protocol: int) -> None:
    generator, discriminator = networks()
    other, _ = networks()
    content = {
        "G": other.eval(),
        "D": discriminator.eval(),
        "G_ema": generator.eval(),
        "augment_pipe": None,
        "training_set_kwargs": ref.EasyDict(class_name="training.dataset.ImageFolderDataset", path="x.zip"),
    }
    imported = import_file(ref.write_pickle(tmp_path / "network.pkl", content, protocol))
    assert imported.family == "stylegan2"
    assert (imported.spec.height, imported.spec.width, imported.spec.channels, imported.spec.classes) == (32, 32, 3, 0)
    same_pictures(imported, generator, discriminator)
    assert "GANSMITH_TEST_SOURCE_WAS_RUN" not in os.environ
    assert "torch_utils" not in sys.modules


@pytest.mark.parametrize(("classes", "channels", "size", "clamp"), [(5, 3, 16, 256), (0, 1, 64, None), (3, 4, 32, 0.5)])
def test_classes_channels_sizes_and_clamps(
    tmp_path: Path, classes: int, channels: int, size: int, clamp: float | None
) -> None:
    generator, discriminator = networks(classes, channels, size, clamp)
    content = {"G": None, "D": discriminator, "G_ema": generator}
    imported = import_file(ref.write_pickle(tmp_path / "network.pkl", content))
    same_pictures(imported, generator, discriminator)


def test_a_stylegan2_pickle_of_the_stylegan3_trainer(tmp_path: Path) -> None:
    torch.manual_seed(1)
    # that trainer hands synthesis settings to the generator itself
    generator = ref.Generator(
        z_dim=20, c_dim=0, w_dim=24, img_resolution=32, img_channels=3, mapping_kwargs=ref.EasyDict(num_layers=2),
        **SMALL, fused_modconv_default="inference_only", num_fp16_res=4,
    )  # fmt: skip
    imported = import_file(ref.write_pickle(tmp_path / "network.pkl", {"G_ema": generator}))
    assert imported.discriminator == {}
    same_pictures(imported, generator, None)


# --- rosinality -------------------------------------------------------------------------------------------------------


def rosinality_state(generator: ref.Generator, discriminator: ref.Discriminator) -> dict[str, Any]:
    """The same networks under rosinality's names and shapes."""
    g = {
        f"style.{i + 1}.{p}": getattr(getattr(generator.mapping, f"fc{i}"), p)
        for i in range(3)
        for p in ("weight", "bias")
    }
    kernel = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64

    def layer(name: str, theirs: ref.SynthesisLayer, index: int) -> None:
        g[f"{name}.conv.weight"] = theirs.weight[None]
        g[f"{name}.conv.modulation.weight"], g[f"{name}.conv.modulation.bias"] = (
            theirs.affine.weight,
            theirs.affine.bias,
        )
        g[f"{name}.noise.weight"] = theirs.noise_strength.reshape(1)
        g[f"{name}.activate.bias"] = theirs.bias
        g[f"noises.noise_{index}"] = theirs.noise_const[None, None]
        if theirs.up == 2:
            g[f"{name}.conv.blur.kernel"] = kernel * 4

    def colours(name: str, theirs: ref.ToRGBLayer) -> None:
        g[f"{name}.conv.weight"], g[f"{name}.bias"] = theirs.weight[None], theirs.bias.reshape(1, -1, 1, 1)
        g[f"{name}.conv.modulation.weight"], g[f"{name}.conv.modulation.bias"] = (
            theirs.affine.weight,
            theirs.affine.bias,
        )

    g["input.input"] = generator.synthesis.b4.const[None]
    layer("conv1", generator.synthesis.b4.conv1, 0)
    colours("to_rgb1", generator.synthesis.b4.torgb)
    for i, size in enumerate((8, 16, 32)):
        block = getattr(generator.synthesis, f"b{size}")
        layer(f"convs.{2 * i}", block.conv0, 2 * i + 1)
        layer(f"convs.{2 * i + 1}", block.conv1, 2 * i + 2)
        colours(f"to_rgbs.{i}", block.torgb)
        g[f"to_rgbs.{i}.upsample.kernel"] = kernel * 4
    d = {"convs.0.0.weight": discriminator.b32.fromrgb.weight, "convs.0.1.bias": discriminator.b32.fromrgb.bias}
    for i, size in enumerate((32, 16, 8)):
        block = getattr(discriminator, f"b{size}")
        d[f"convs.{i + 1}.conv1.0.weight"], d[f"convs.{i + 1}.conv1.1.bias"] = block.conv0.weight, block.conv0.bias
        d[f"convs.{i + 1}.conv2.0.kernel"] = kernel
        d[f"convs.{i + 1}.conv2.1.weight"], d[f"convs.{i + 1}.conv2.2.bias"] = block.conv1.weight, block.conv1.bias
        d[f"convs.{i + 1}.skip.0.kernel"] = kernel
        d[f"convs.{i + 1}.skip.1.weight"] = block.skip.weight
    d["final_conv.0.weight"], d["final_conv.1.bias"] = discriminator.b4.conv.weight, discriminator.b4.conv.bias
    for i, dense in enumerate((discriminator.b4.fc, discriminator.b4.out)):
        d[f"final_linear.{i}.weight"], d[f"final_linear.{i}.bias"] = dense.weight, dense.bias
    state = {"g_ema": g, "d": d, "latent_avg": generator.mapping.w_avg, "args": argparse.Namespace(size=32)}
    return {k: {n: t.detach() for n, t in v.items()} if isinstance(v, dict) else v for k, v in state.items()}


@pytest.mark.parametrize("zipped", [True, False])
def test_a_rosinality_file_gives_the_same_pictures(tmp_path: Path, zipped: bool) -> None:
    torch.manual_seed(1)
    synthesis = {"channel_base": 512, "channel_max": 24}
    generator = ref.Generator(20, 0, 20, 32, 3, mapping_kwargs={"num_layers": 3}, synthesis_kwargs=synthesis)
    discriminator = ref.Discriminator(0, 32, 3, **synthesis)
    state = rosinality_state(generator, discriminator)
    torch.save(state, tmp_path / "550000.pt", _use_new_zipfile_serialization=zipped)
    imported = import_file(tmp_path / "550000.pt")
    same_pictures(imported, generator, discriminator)
    # without noise maps and average style, as older versions saved them
    bare = {"g_ema": {n: t for n, t in state["g_ema"].items() if not n.startswith("noises.")}}
    torch.save(bare, tmp_path / "bare.pt", _use_new_zipfile_serialization=zipped)
    imported = import_file(tmp_path / "bare.pt")
    assert "latent_avg" in imported.notes[0]
    with torch.no_grad():
        w = generator.mapping(torch.randn(4000, 20), truncation_psi=1.0)[:, 0].mean(0)
    assert (imported.tensors["generator.mapping.w_avg"] - w).abs().max() < 0.15 * w.abs().max() + 0.05


# --- attacks ----------------------------------------------------------------------------------------------------------


class Reduces:
    """Pickles into whatever call one likes."""

    def __init__(self, *reduction: Any) -> None:
        self.reduction = reduction

    def __reduce__(self) -> Any:
        return self.reduction


def attack(kind: str, target: Path) -> bytes:
    command = f"touch {target}"
    call = pickle.dumps(Reduces(os.system, (command,)))
    text = command.encode()
    return {
        "os.system": call,
        "os.system, protocol 0": pickle.dumps(Reduces(os.system, (command,)), protocol=0),
        "eval": pickle.dumps(Reduces(eval, (f"__import__('os').system('{command}')",))),
        "exec": pickle.dumps(Reduces(exec, (f"import os; os.system('{command}')",))),
        "getattr": b"cbuiltins\ngetattr\n(cbuiltins\ndict\nVfromkeys\ntR.",
        "nested name": b"\x80\x04\x8c\x08builtins\x8c\x0edict.__class__\x93.",
        "import": b"c__builtin__\n__import__\n(Vos\ntR.",
        "submodule": b"ctorch\nos.system\n(V" + text + b"\ntR.",
        "inside a network": pickle.dumps({"G_ema": {"state": Reduces(os.system, (command,))}}),
        "instance": b"(ios\nsystem\n.",
        "object": b"(cos\nsystem\nV" + text + b"\no.",
        "extension": b"\x80\x02\x82\x01.",
        "called twice": b"ccollections\nOrderedDict\n)R(V" + text + b"\ntR.",
        "changed name": b"ccollections\nOrderedDict\n}Vfromkeys\ncbuiltins\ndict\nsb.",
        "changed reconstruction": b"ctorch._utils\n_rebuild_tensor_v2\n}V__defaults__\n(V1\ntsb.",
        "odd keys": b"}(lVx\ns.",
        "subprocess": b"csubprocess\nPopen\n(V" + text + b"\ntR.",
        "constructs with keywords": b"\x80\x04ccollections\nOrderedDict\n)}Va\nK\x01s\x92.",
    }[kind]


KINDS = [
    "os.system", "os.system, protocol 0", "eval", "exec", "getattr", "nested name", "import", "submodule", "inside a network",
    "instance", "object", "extension", "called twice", "changed name", "changed reconstruction", "odd keys", "subprocess",
    "constructs with keywords",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_malicious_pickles_are_refused_and_not_run(tmp_path: Path, kind: str) -> None:
    target, path = tmp_path / "pwned", tmp_path / "network.pkl"
    path.write_bytes(attack(kind, target))
    with pytest.raises(Refused, match="not read") as error:
        import_file(path)
    assert not target.exists()
    named = {
        "os.system": "'posix.system'",
        "eval": "'builtins.eval'",
        "subprocess": "'subprocess.Popen'",
        "submodule": "'torch.os.system'",
    }
    if kind in named:
        assert named[kind].replace("posix", os.system.__module__) in str(error.value)


def test_an_attack_inside_a_tensor_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "pwned"
    generator, _ = networks()

    class Bomb:
        """A storage whose bytes are a pickle of their own."""

        def __reduce__(self) -> Any:
            return torch.storage._load_from_bytes, (pickle.dumps(Reduces(os.system, (f"touch {target}",))),)

    class Fake:
        def __reduce__(self) -> Any:
            return torch._utils._rebuild_tensor_v2, (Bomb(), 0, (24,), (1,), False, None)

    generator.mapping._buffers["w_avg"] = Fake()  # type: ignore[assignment]
    path = ref.write_pickle(tmp_path / "network.pkl", {"G_ema": generator})
    with pytest.raises(Refused, match="asks for"):
        import_file(path)
    assert not target.exists()


def test_a_malicious_pt_is_refused_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "pwned"
    for zipped in (True, False):
        torch.save(
            {"g_ema": Reduces(os.system, (f"touch {target}",))},
            tmp_path / "x.pt",
            _use_new_zipfile_serialization=zipped,
        )
        with pytest.raises(ModelError, match=r"was not read: it asks for 'posix\.system'|nt\.system"):
            import_file(tmp_path / "x.pt")
        assert not target.exists()


class Storage:
    """Twelve numbers, as a pickled tensor holds them."""

    def __reduce__(self) -> Any:
        buffer = io.BytesIO()
        torch.save(torch.arange(12.0)._typed_storage(), buffer, _use_new_zipfile_serialization=False)
        return torch.storage._load_from_bytes, (buffer.getvalue(),)


def tensor_call(size: Any, stride: Any, offset: int) -> Any:
    return Reduces(torch._utils._rebuild_tensor_v2, (Storage(), offset, size, stride, False, None))


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [((24,), (1,), 0), ((12,), (1,), 1), ((2,), (2**39,), 0), ((-1,), (1,), 0), ((12,), (-1,), 11),
     ((2**39, 2**39), (0, 0), 0), ((3,), (1, 1), 0), (("a",), (1,), 0), ((24,), (0,), 0), (None, (1,), 0)],
)  # fmt: skip
def test_tensors_that_reach_beyond_their_storage(tmp_path: Path, size: Any, stride: Any, offset: int) -> None:
    generator, _ = networks()
    generator.mapping._buffers["w_avg"] = tensor_call(size, stride, offset)  # type: ignore[assignment]
    path = ref.write_pickle(tmp_path / "network.pkl", {"G_ema": generator})
    with pytest.raises(ModelError, match="damaged"):
        import_file(path)


def test_inflated_and_nested_pickles_end_in_an_error(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    deep = b"\x80\x04" + b"(" * 50_000 + b"t" * 50_000 + b"."
    lies = b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"abc."
    selfish = b"\x80\x04]\x94h\x00a."
    for content in (deep, lies, selfish):
        path.write_bytes(content)
        with pytest.raises(ModelError):
            import_file(path)

    class Nest(ref.Persistent):
        def build(self) -> None: ...

    nest = Nest()
    for _ in range(30):  # 2^30 modules, if one believes it
        outer = Nest()
        outer._modules["a"] = outer._modules["b"] = nest
        nest = outer
    with pytest.raises(Refused, match="beyond reason"):
        import_file(ref.write_pickle(path, {"G_ema": nest}))


# --- other files ------------------------------------------------------------------------------------------------------


def test_files_that_are_something_else(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    with pytest.raises(ModelError, match="no file"):
        import_file(path)
    with pytest.raises(ModelError, match="is a folder"):
        import_file(tmp_path)
    for content in (b"", b"\x89PNG\r\n\x1a\n" + bytes(100), b"not a pickle at all", b"PK\x03\x04 a broken zip"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"network\.pkl"):
            import_file(path)
    for value in ([1, 2], {"a": 1}, "text", {"G_ema": None}, {"G_ema": 3}, {"G_ema": {"a": 1}}):
        path.write_bytes(pickle.dumps(value))
        with pytest.raises(ModelError, match=r"network\.pkl"):
            import_file(path)


def test_truncated_files(tmp_path: Path) -> None:
    generator, _ = networks()
    whole = ref.write_pickle(tmp_path / "whole.pkl", {"G_ema": generator}).read_bytes()
    path = tmp_path / "network.pkl"
    for share in (0.01, 0.3, 0.7, 0.999):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ModelError, match="damaged or incomplete"):
            import_file(path)
    buffer = io.BytesIO()
    torch.save({"g_ema": {"style.1.weight": torch.randn(100, 100)}}, buffer)
    path.write_bytes(buffer.getvalue()[:-2000])
    with pytest.raises(ModelError, match=r"network\.pkl"):
        import_file(path)


def test_other_networks_are_named(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"

    class Empty(ref.Persistent):
        def build(self) -> None: ...

    generator, _ = networks()
    three = ref.Generator.__new__(ref.Generator)
    torch.nn.Module.__init__(three)
    three._init_args, three._init_kwargs = (), dict(generator._init_kwargs)
    three.mapping, three.synthesis = generator.mapping, Empty()
    three.synthesis.input, three.synthesis.L0_36_512 = Empty(), Empty()
    ref.write_pickle(path, {"G_ema": three})
    with pytest.raises(ModelError, match="StyleGAN3 generator"):
        import_file(path)
    path.write_bytes(b"cdnnlib.tflib.network\nNetwork\n)R.")
    with pytest.raises(ModelError, match="TensorFlow"):
        import_file(path)
    ref.write_pickle(path, {"G_ema": Empty()})
    with pytest.raises(ModelError, match="'Empty' that is not a StyleGAN2 generator"):
        import_file(path)
    torch.save({"g_ema": {"weight": torch.zeros(3)}}, path)
    with pytest.raises(ModelError, match="not a StyleGAN2 of rosinality"):
        import_file(path)


def test_weights_that_do_not_fit_their_settings(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"

    def refuse(match: str, **changes: Any) -> None:
        generator, _ = networks()
        for name, value in changes.items():
            generator._init_kwargs[name] = value
        with pytest.raises(ModelError, match=match):
            import_file(ref.write_pickle(path, {"G_ema": generator}))

    refuse("has no tensor 'synthesis.b64", img_resolution=64)
    refuse("do not fit", img_channels=1)
    refuse("z_dim", z_dim="20")
    refuse("img_resolution", img_resolution=None)
    refuse("z_dim", z_dim=2**70)
    refuse("architecture 'orig'", synthesis_kwargs={**SMALL, "architecture": "orig"})
    generator, _ = networks()
    generator.synthesis.b8.conv0.weight.data[0, 0, 0, 0] = math.nan
    with pytest.raises(ModelError, match="not finite"):
        import_file(ref.write_pickle(path, {"G_ema": generator}))
    generator, _ = networks()
    generator.synthesis.b8.resample_filter.copy_(torch.ones(4, 4) / 16)
    with pytest.raises(ModelError, match="another filter"):
        import_file(ref.write_pickle(path, {"G_ema": generator}))


def test_a_discriminator_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    generator, _ = networks()
    _, other = networks(channels=1)
    imported = import_file(ref.write_pickle(tmp_path / "n.pkl", {"G_ema": generator, "D": other}))
    assert imported.discriminator == {}
    assert "left out" in imported.notes[-1]
