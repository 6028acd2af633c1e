"""Other people's StyleGAN2 weights give the same pictures here, and nothing in their files is ever run."""

from __future__ import annotations

import codecs
import contextlib
import functools
import gzip
import io
import math
import operator
import os
import pickle
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gansmith import config as configs
from gansmith.errors import ModelError
from gansmith.gans.stylegan2 import StyleGAN2, channels_of, levels
from gansmith.importers import Imported, import_file, rosinality
from gansmith.importers.pickled_tensors import Tensors
from gansmith.importers.safe_pickle import Refused, read_notes
from helpers import reference_stylegan2 as ref
from helpers.rosinality import rosinality_state

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
            picture = game.generator(z, one_hot, truncation=psi, noise="const")
            assert theirs.std() > 0.1
            torch.testing.assert_close(picture, theirs, atol=1e-4, rtol=0)
        if discriminator is not None:
            images = theirs.clamp(-1, 1)
            expected = discriminator(images, one_hot)
            torch.testing.assert_close(
                game.discriminator(images, one_hot), expected, atol=1e-3 * float(expected.abs().max()), rtol=0
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


def generator_of(cls: Any = ref.Generator, size: int = 32, classes: int = 0, layers: int = 3, **synthesis: Any) -> Any:
    torch.manual_seed(1)
    settings = {**SMALL, **synthesis}
    mapping = ref.EasyDict(num_layers=layers)
    if cls is ref.LaterGenerator:
        return cls(20, classes, 24, size, 3, mapping_kwargs=mapping, **settings)
    return cls(20, classes, 24, size, 3, mapping_kwargs=mapping, synthesis_kwargs=ref.EasyDict(settings))


def reading(folder: Path, **content: Any) -> Imported:
    return import_file(ref.write_pickle(folder / "network.pkl", content))


def test_layers_say_what_the_arguments_leave_out(tmp_path: Path) -> None:
    """The StyleGAN3 trainer clamps at 256 without saying so; positional arguments are nowhere but in attributes."""
    for cls, given, clamp in (
        (ref.LaterGenerator, {}, 256.0), (ref.LaterGenerator, {"conv_clamp": None}, 0.0),
        (ref.Generator, {}, 0.0), (ref.Generator, {"conv_clamp": 64}, 64.0),
    ):  # fmt: skip
        torch.manual_seed(1)
        settings = {"channel_base": 512, "channel_max": 24, **given}
        more = settings if cls is ref.LaterGenerator else {"synthesis_kwargs": settings}
        generator = cls(20, 0, 24, 32, 3, mapping_kwargs={"num_layers": 3}, **more)
        generator.synthesis.b8.conv0.bias.data += 500  # beyond any clamp
        for size in (8, 16, 32):  # and colours of a size that can be compared
            getattr(generator.synthesis, f"b{size}").torgb.weight.data *= 0.01
        found = reading(tmp_path, G_ema=generator)
        assert found.config["clamp"] == clamp
        same_pictures(found, generator, None)


@pytest.mark.parametrize(
    ("layers", "settings"),
    [(2, {"channel_base": 1024, "num_fp16_res": 0}), (8, {"channel_max": 16, "conv_clamp": None}), (1, {"use_noise": False}),
     (3, {"resample_filter": [1, 3, 3, 1], "activation": "lrelu", "architecture": "skip", "fp16_channels_last": True})],
)  # fmt: skip
def test_settings_that_trainers_choose(tmp_path: Path, layers: int, settings: dict[str, Any]) -> None:
    generator = generator_of(layers=layers, **settings)
    same_pictures(reading(tmp_path, G_ema=generator), generator, None)


def test_tensors_are_read_in_any_precision_and_layout(tmp_path: Path) -> None:
    (generator, discriminator), (expected, _) = networks(), networks()
    for network in (generator, expected):  # numbers that half precision holds exactly
        for parameter in network.parameters():
            parameter.data = parameter.data.half().float()
    for parameter in generator.parameters():
        parameter.data = parameter.data.half()
        parameter.requires_grad_(False)
    generator.mapping.w_avg = generator.mapping.w_avg.double()
    for block in (generator.synthesis.b16, discriminator.b16):
        block.conv0.weight.data = block.conv0.weight.data.to(memory_format=torch.channels_last)
    frozen = discriminator.b32.fromrgb  # what does not train is a buffer
    weight = frozen.weight.data
    del frozen.weight
    frozen.register_buffer("weight", weight)
    same_pictures(reading(tmp_path, G_ema=generator, D=discriminator), expected, discriminator)


@pytest.mark.parametrize("protocol", [2, 5])
def test_everything_else_in_a_file_is_passed_over(tmp_path: Path, protocol: int) -> None:
    class AugmentPipe(ref.Persistent):
        def build(self, **kwargs: Any) -> None:
            self.bands, self.gain, self.table = list(kwargs), np.float32(2), np.arange(3)
            self.register_buffer("p", torch.ones([]))

    generator, _ = networks()
    training_set = ref.EasyDict(class_name="training.dataset.ImageFolderDataset", path="x.zip", max_size=None)
    content = {
        "G": generator, "G_ema": generator, "augment_pipe": AugmentPipe(xflip=1), "training_set_kwargs": training_set,
        "progress": {"cur_nimg": torch.tensor(25000), "seen": {1, 2}, "stats": frozenset([1.5])},
    }  # fmt: skip
    same_pictures(import_file(ref.write_pickle(tmp_path / "network.pkl", content, protocol)), generator, None)


def test_a_discriminator_of_another_kind_is_left_out_with_a_reason(tmp_path: Path) -> None:
    generator = generator_of(classes=3)

    def notes(**changes: Any) -> list[str]:
        torch.manual_seed(1)
        discriminator = ref.Discriminator(c_dim=3, img_resolution=32, img_channels=3, **{**SMALL, **changes})
        found = reading(tmp_path, G_ema=generator, D=discriminator)
        assert bool(found.discriminator) == ("left out" not in " ".join(found.notes))
        return found.notes[1:]

    assert notes() == []
    assert "groups of 8; here within groups of 4" in notes(epilogue_kwargs=ref.EasyDict(mbstd_group_size=8))[0]
    assert "whole batch" in notes(epilogue_kwargs=ref.EasyDict(mbstd_group_size=None))[0]
    assert "within 0 (0: not at all); here within 256" in notes(conv_clamp=None)[0]
    assert "has shape" in notes(epilogue_kwargs=ref.EasyDict(mbstd_num_channels=2))[0]
    assert "another 'architecture'" in notes(architecture="orig")[0]
    assert "another 'lr_multiplier'" in notes(mapping_kwargs=ref.EasyDict(lr_multiplier=0.1))[0]
    assert "another 'activation'" in notes(block_kwargs=ref.EasyDict(activation="relu"))[0]
    found = reading(tmp_path, G_ema=generator, D={"some": "thing"})
    assert found.tensors
    assert "'D' in network.pkl is not a network" in found.notes[-1]


# --- rosinality -------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("size", [32, 64, 256, 1024])
def test_rosinality_sizes_are_read_off_shapes(size: int, multiplier: int) -> None:
    channels = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256 * multiplier, 128: 128 * multiplier, 256: 64 * multiplier,
                512: 32 * multiplier, 1024: 16 * multiplier}  # fmt: skip
    with torch.device("meta"):
        state = {f"style.{i}.weight": torch.empty(512, 512) for i in range(1, 9)}
        state |= {"input.input": torch.empty(1, 512, 4, 4), "to_rgb1.conv.weight": torch.empty(1, 3, 512, 1, 1)}
        before = 512
        for i in range(size.bit_length() - 3):
            now = channels[8 << i]
            state[f"convs.{2 * i}.conv.weight"] = torch.empty(1, now, before, 3, 3)
            state[f"to_rgbs.{i}.conv.weight"] = torch.empty(1, 3, now, 1, 1)
            before = now
    config, spec = rosinality.settings(state, "x.pt")
    assert (spec.height, spec.channels, config.mapping_layers) == (size, 3, 8)
    sizes = levels(size, size)
    assert channels_of(config, sizes) == [channels[s] for s, _ in sizes]


def test_damaged_rosinality_files_end_in_an_error(tmp_path: Path) -> None:
    torch.manual_seed(1)
    synthesis = {"channel_base": 512, "channel_max": 24}
    generator = ref.Generator(20, 0, 20, 32, 3, mapping_kwargs={"num_layers": 3}, synthesis_kwargs=synthesis)
    state = rosinality_state(generator, ref.Discriminator(0, 32, 3, **synthesis))

    def read(which: str = "g_ema", average: bool = True, **changes: Any) -> Imported:
        tensors = {name: tensor for name, tensor in (state["g_ema"] | changes).items() if tensor is not None}
        content = {which: {f"module.{n}": t for n, t in tensors.items()}, "latent_avg": state["latent_avg"]}
        torch.save(content if average else {which: content[which]}, tmp_path / "x.pt")
        return import_file(tmp_path / "x.pt")

    same_pictures(read("g"), generator, None)
    dense = state["g_ema"]["convs.1.conv.weight"]
    for changes in (
        {"style.3.bias": None}, {"style.2.weight": torch.zeros(20, 21)}, {"style.1.weight": torch.zeros(20)},
        {"noises.noise_0": torch.zeros(2, 1, 4, 4)}, {"noises.noise_0": torch.zeros(())}, {"input.input": torch.zeros(4)},
        {"to_rgbs.7.conv.weight": torch.zeros(1, 3, 24, 1, 1)}, {"odd\x1b[31m": torch.zeros(1)},
        {"convs.1.conv.weight": dense.to_sparse()}, {"convs.1.conv.weight": dense.to(torch.complex64)},
        {"convs.1.conv.weight": torch.zeros(1).expand(2**20, 2**20)}, {"convs.1.conv.weight": torch.full_like(dense, math.inf)},
        {"to_rgb1.conv.weight": torch.zeros(1, 2, 24, 1, 1)}, {"style.1.weight": torch.zeros(0, 0)},
        {"convs.1.conv.weight": torch.empty(dense.shape, device="meta")},
    ):  # fmt: skip
        for average in (True, False):
            with pytest.raises(ModelError, match=r"x\.pt") as error:
                read(average=average, **changes)
            assert "\x1b" not in str(error.value)
    odd = state["d"] | {"convs.1.conv2.0.kernel": torch.ones(4, 4)}
    torch.save(state | {"d": odd}, tmp_path / "x.pt")
    found = import_file(tmp_path / "x.pt")
    assert not found.discriminator
    assert "another filter" in found.notes[-1]


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
        "partial": pickle.dumps(functools.partial(os.system, command)),
        "methodcaller": pickle.dumps(operator.methodcaller("system", command)),
        "attrgetter": pickle.dumps(operator.attrgetter("system")),
        "codecs": pickle.dumps(Reduces(codecs.decode, (b"x", "rot13"))),
        "torch.load": pickle.dumps(Reduces(torch.load, (str(target),))),
        "dotted": b"\x80\x04\x8c\x05torch\x8c\x12nn.Module.__init__\x93.",
        "dotted, of a known name": b"\x80\x04\x8c\x05torch\x8c\x16nn.parameter.Parameter\x93.",
        "extension of two bytes": b"\x80\x02\x83\x01\x02.",
        "extension of four bytes": b"\x80\x02\x84\x01\x02\x03\x04.",
        "persistent id": b"Vx\nQ.",
        "persistent id, protocol 0": b"Px\n.",
        "persistent id inside": b"}VG_ema\nVx\nQs.",
        "buffer beside the file": b"\x80\x05\x97.",
        "__setstate__": b"ctorch.nn.parameter\nParameter\n}V__setstate__\ncos\nsystem\nsb.",
        "a name that is no word": b"\x80\x04K\x01K\x02\x93.",
        "terminal": b"c\x1b[31mos\nsystem\n.",
    }[kind]


KINDS = [
    "os.system", "os.system, protocol 0", "eval", "exec", "getattr", "nested name", "import", "submodule", "inside a network",
    "instance", "object", "extension", "called twice", "changed name", "changed reconstruction", "odd keys", "subprocess",
    "constructs with keywords", "partial", "methodcaller", "attrgetter", "codecs", "torch.load", "dotted",
    "dotted, of a known name", "extension of two bytes", "extension of four bytes", "persistent id",
    "persistent id, protocol 0", "persistent id inside", "buffer beside the file", "__setstate__", "a name that is no word",
    "terminal",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_malicious_pickles_are_refused_and_not_run(tmp_path: Path, kind: str) -> None:
    target, path = tmp_path / "pwned", tmp_path / "network.pkl"
    path.write_bytes(attack(kind, target))
    with pytest.raises(Refused, match="not read") as error:
        import_file(path)
    assert not target.exists()
    assert "\x1b" not in str(error.value)
    named = {
        "dotted": "'torch.nn.Module.__init__'",
        "partial": "'functools.partial'",
        "codecs": "'_codecs.decode'",
        "extension of two bytes": "EXT2",
        "persistent id inside": "asks for data outside itself",
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


def test_settings_that_are_bombs_end_in_an_error(tmp_path: Path) -> None:
    def refuse(match: str, **changes: Any) -> None:
        generator, _ = networks()
        generator._init_kwargs |= changes
        with pytest.raises(ModelError, match=match):
            reading(tmp_path, G_ema=generator)

    nested: Any = ()
    for _ in range(100):  # 2^100 words, if one prints or hashes it
        nested = (nested, nested)
    refuse("another 'architecture'", synthesis_kwargs={**SMALL, "architecture": nested})
    refuse("another 'activation'", synthesis_kwargs={**SMALL, "activation": ["lrelu"]})
    refuse("'lr_multiplier'", mapping_kwargs={"num_layers": 3, "lr_multiplier": nested})
    refuse("channel_base", synthesis_kwargs={**SMALL, "channel_base": 10**400})
    refuse("img_resolution", img_resolution=10**400)
    refuse("powers of two", img_resolution=48)
    refuse("powers of two", img_resolution=4)
    refuse("2 channels", img_channels=2)
    refuse("single number", c_dim=1)
    refuse("z_dim", z_dim=0)
    refuse("has 1000000 layers, and holds 3", mapping_kwargs={"num_layers": 1_000_000})
    generator, _ = networks()
    generator.synthesis.b8.conv1.conv_clamp = nested
    with pytest.raises(ModelError, match="conv_clamp"):
        reading(tmp_path, G_ema=generator)
    generator.synthesis.b8.conv1.conv_clamp = 3
    with pytest.raises(ModelError, match="clamps some layers"):
        reading(tmp_path, G_ema=generator)
    generator._modules["a" * 1000] = generator.mapping
    with pytest.raises(Refused, match="beyond reason"):
        reading(tmp_path, G_ema=generator)
    generator._modules.pop("a" * 1000)
    generator._buffers |= {f"b{i}": None for i in range(6000)}
    with pytest.raises(Refused, match="beyond reason"):
        reading(tmp_path, G_ema=generator)


def test_a_storage_may_be_shared_but_not_repeated() -> None:
    buffer = io.BytesIO()
    torch.save(torch.arange(2.0**19)._typed_storage(), buffer, _use_new_zipfile_serialization=False)
    storage, half = Reduces(torch.storage._load_from_bytes, (buffer.getvalue(),)), 2**18

    def part(size: int, offset: int) -> Reduces:
        return Reduces(torch._utils._rebuild_tensor_v2, (storage, offset, (size,), (1,), False, None))

    content = [part(half, 0), part(half, half), part(2 * half, 0), part(2 * half, 0)]
    notes = read_notes(io.BytesIO(pickle.dumps(content)), "x.pkl")
    tensors = Tensors("x.pkl", len(buffer.getvalue()))
    assert torch.equal(torch.cat([tensors.read(note) for note in notes[:2]]), torch.arange(2.0**19))
    for _ in range(9):
        tensors.read(notes[2])
    with pytest.raises(ModelError, match="larger than the numbers in it"):  # 22 MB out of 2
        tensors.read(notes[2])


def test_a_pickle_of_very_many_operations_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gansmith.importers.safe_pickle.MAX_OPERATIONS", 1000)
    (tmp_path / "network.pkl").write_bytes(b"]" * 2000 + b".")
    with pytest.raises(Refused, match="inflated beyond reason"):
        import_file(tmp_path / "network.pkl")


def test_lines_of_other_files_are_not_read_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gansmith.importers.safe_pickle.MAX_LINE", 10)
    stream = io.BytesIO(b"c" + b"x" * 1000)
    with pytest.raises(ModelError, match="damaged"):
        read_notes(stream, "x.pkl")
    assert stream.tell() == 11


def test_damage_anywhere_ends_in_an_error_or_in_a_model(tmp_path: Path) -> None:
    """Bytes changed at random, and random bytes: whatever they ask for, nothing but our own errors comes out."""
    generator = generator_of(size=8)
    pickled = ref.write_pickle(tmp_path / "whole.pkl", {"G_ema": generator}).read_bytes()
    buffer = io.BytesIO()
    torch.save({"g_ema": {"style.1.weight": torch.zeros(8, 8)}}, buffer)
    legacy = io.BytesIO()
    torch.save({"g_ema": {"style.1.weight": torch.zeros(8, 8)}}, legacy, _use_new_zipfile_serialization=False)
    numbers, path = np.random.default_rng(0), tmp_path / "network.pkl"
    for whole in (pickled, buffer.getvalue(), legacy.getvalue()):
        for _ in range(60):
            content = bytearray(whole)
            for place in numbers.integers(0, min(len(content), 3000), 3):
                content[place] = numbers.integers(256)
            path.write_bytes(content)
            with contextlib.suppress(ModelError):
                import_file(path)
    for _ in range(60):
        path.write_bytes(b"\x80\x04" + numbers.bytes(200))
        with pytest.raises(ModelError, match=r"network\.pkl"):
            import_file(path)


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


def test_files_often_taken_for_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("ffhq.pkl", b"x")
    for content, words in (
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html>Google Drive can't scan this file</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (gzip.compress(b"x"), "compressed"),
        ((tmp_path / "a.safetensors").read_bytes(), "not known here"),
        (archive.getvalue(), "zip with files of weights"),
        (b"\x80\x03ctfutil\nNetwork\n)R.", "TensorFlow"),
        (b"\x80\x04\x8c\x14dnnlib.tflib.network\x8c\x07Network\x93)\x81.", "TensorFlow"),
    ):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=words):
            import_file(path)
    with pytest.raises(ModelError, match="is not a file"):
        import_file("/dev/zero")


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

    path.write_bytes(b"cdnnlib.tflib.network\nNetwork\n)R.")
    with pytest.raises(ModelError, match="TensorFlow"):
        import_file(path)
    ref.write_pickle(path, {"G_ema": Empty()})
    with pytest.raises(ModelError, match="'Empty' that is not a generator of StyleGAN2"):
        import_file(path)
    torch.save({"g_ema": {"weight": torch.zeros(3)}}, path)
    with pytest.raises(ModelError, match="not known here"):
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
    refuse("another 'architecture'", synthesis_kwargs={**SMALL, "architecture": "orig"})
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
