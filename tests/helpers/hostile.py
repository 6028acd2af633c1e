"""Files that were made to attack whoever imports them, drawn from a seed: pickles, zips, checkpoints, safetensors, model folders."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

MERSENNE = 2**61 - 1
"""Python's integers have equal hashes where they are equal modulo this."""


class Reduces:
    """Pickles into a call."""

    def __init__(self, *reduction: Any) -> None:
        self.reduction = reduction

    def __reduce__(self) -> Any:
        return self.reduction


class Elsewhere:
    """Pickles into a persistent id."""

    def __init__(self, key: Any) -> None:
        self.key = key


class Pickler(pickle.Pickler):
    """Writes :class:`Elsewhere` as torch's files do."""

    def persistent_id(self, obj: Any) -> Any:
        return obj.key if isinstance(obj, Elsewhere) else None


def pickled(content: Any, protocol: int = 2) -> bytes:
    buffer = io.BytesIO()
    Pickler(buffer, protocol).dump(content)
    return buffer.getvalue()


def tensor(
    size: Any, stride: Any = None, offset: Any = 0, key: Any = "0", count: Any = 4, kind: Any = torch.FloatStorage
) -> Reduces:
    """A tensor as a checkpoint holds it, whatever its numbers are."""
    if stride is None:
        stride, step = [], 1
        for side in reversed(size):
            stride.insert(0, step)
            step *= side
        stride = tuple(stride)
    held = Elsewhere(("storage", kind, key, "cpu", count))
    return Reduces(torch._utils._rebuild_tensor_v2, (held, offset, size, stride, False, OrderedDict()))


def torch_zip(data: bytes, storages: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    members = {"data.pkl": data, **{f"data/{key}": content for key, content in storages.items()}, "version": b"3\n"}
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(
                zipfile.ZipInfo(f"archive/{name}"), content, method
            )  # without the time, the same for the same seed
    return buffer.getvalue()


def legacy(content: Any, storages: dict[str, bytes], counts: dict[str, int] | None = None) -> bytes:
    parts = [pickled(part) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    parts += [pickled(content), pickled(list(storages))]
    for key, numbers in storages.items():
        parts.append(struct.pack("<Q", (counts or {}).get(key, len(numbers) // 4)) + numbers)
    return b"".join(parts)


def checkpoint(content: Any, storages: dict[str, bytes], choice: random.Random) -> bytes:
    """The same content in one of torch's two formats."""
    if choice.random() < 0.5:
        return torch_zip(pickled(content), storages)
    return legacy(content, storages)


FOUR = b"\0" * 16
"""A storage of four numbers."""


def shared(depth: int, of: Any = ()) -> Any:
    """Tuples within tuples: 2^depth of them for whoever walks through all."""
    for _ in range(depth):
        of = (of, of)
    return of


# --- each draws one file; the kinds are named for messages -------------------------------------------------------------


def asks_for_gigabytes(choice: random.Random) -> bytes:
    """A call that would take gigabytes, by itself or within a checkpoint."""
    count = choice.choice([2**31, 2**33, 2**40])
    function = choice.choice([bytearray, bytes, list, torch.FloatStorage, torch.Tensor, torch.Size])
    inside: Any = Reduces(function, (count,))
    content = choice.choice([inside, {"g_ema": inside}, {"state_dict": {"model.1.weight": inside}}, [inside] * 50])
    return choice.choice([pickled(content), torch_zip(pickled(content), {}), legacy(content, {})])


def places_of_the_memo(choice: random.Random) -> bytes:
    """PUT and GET with places far beyond what was put."""
    far = choice.choice([2**40, 10**300, 2**63 - 1])
    many = b"".join(b"Np%d\n0" % (k * MERSENNE) for k in range(20_000))
    body = choice.choice([b"}p%d\n." % far, b"}r\xff\xff\xff\xff.", b"}q\xffj\xff\xff\xff\xff.", many + b"}."])
    return choice.choice([body, torch_zip(b"\x80\x02" + body, {})])


def equal_hashes(choice: random.Random) -> bytes:
    """A table whose keys all have one hash takes quadratic time."""
    count = choice.choice([30_000, 60_000])
    items = b"".join(b"\x8a\x0a" + (k * MERSENNE).to_bytes(10, "little") + b"N" for k in range(1, count))
    body = b"\x80\x02}(" + items + b"u."
    if choice.random() < 0.3:
        body = b"\x80\x02(" + items + b"d."
    return choice.choice([body, torch_zip(body, {}), legacy({}, {}) + body])


def long_numbers(choice: random.Random) -> bytes:
    digits = b"9" * choice.choice([5000, 200_000, 2_000_000])
    body = choice.choice(
        [b"I" + digits + b"\n.", b"L" + digits + b"L\n.", b"F" + digits + b"\n.", b"Np" + digits + b"\n."]
    )
    return choice.choice([body, torch_zip(b"\x80\x02" + body, {})])


def nested(choice: random.Random) -> bytes:
    depth = choice.choice([10_000, 200_000, 600_000])
    body = choice.choice(
        [b"(" * depth + b"t" * depth + b".", b"]" * depth + b"a" * (depth - 1) + b".", b"(" * depth, b"]\x94" * depth, b"}" * depth,
         b"(l" + b"2" * depth + b"t.", b"\x8f" * depth]
    )  # fmt: skip
    return choice.choice([b"\x80\x04" + body, torch_zip(b"\x80\x04" + body, {})])


def shares_without_end(choice: random.Random) -> bytes:
    """Tuples that hold each other stand where names, sizes, keys and arguments belong."""
    many = shared(choice.choice([40, 80]))
    fields: list[Any] = [
        tensor(many, (1,)), tensor((2, 2), many), tensor((4,), offset=many), tensor((4,), key=many), tensor((4,), count=many), tensor((4,), kind=many),
        Reduces(torch._utils._rebuild_parameter, (many, True, OrderedDict())), Elsewhere(many), OrderedDict(x=many), many, [many], {1: many},
        Reduces(OrderedDict, ([("a", many)],)), Reduces(OrderedDict, (many,)), Reduces(torch.Size, (many,)),
    ]  # fmt: skip
    names = {
        "style.1.weight": tensor((2, 2)),
        "input.input": tensor((4,)),
        "to_rgb1.conv.weight": choice.choice(fields),
    }
    content = choice.choice(
        [
            {"g_ema": names, "latent_avg": choice.choice(fields)},
            {"state_dict": choice.choice(fields)},
            choice.choice(fields),
        ]
    )
    return checkpoint(content, {"0": FOUR}, choice)


def strides_and_shapes(choice: random.Random) -> bytes:
    """Tensors of huge sizes on a small storage."""
    big = choice.choice([2**12, 2**20, 2**33, 2**39])
    size, stride = choice.choice(
        [((big, big), (0, 0)), ((big,), (0,)), ((1, big), (0, 0)), ((big, 1), (0, 1)), ((2, big), (1, 0)), ((4,), (2**60,)),
         ((big,) * 8, (0,) * 8), ((0, big), (0, 0)), ((2**62,), (1,)), ((-4,), (1,)), ((True,), (False,)), ((4,) * 9, (1,) * 9)]
    )  # fmt: skip
    names = {
        name: tensor(size, stride, key=choice.choice(["0", "1"]), count=choice.choice([4, 2**40, -1]))
        for name in choice.choice([
            ("style.1.weight", "input.input", "to_rgb1.conv.weight"), ("model.1.weight", "model.10.conv_block.1.weight"),
            ("conv_first.weight", "body.0.rdb1.conv1.weight", "conv_last.weight"), ("model.model.0.weight", "model.model.3.weight", "model.model.1.model.1.weight"),
        ])
    }  # fmt: skip
    return checkpoint(choice.choice([names, {"params_ema": names}, {"g_ema": names}]), {"0": FOUR, "1": FOUR}, choice)


def repeats_a_storage(choice: random.Random) -> bytes:
    """Thousands of tensors of one storage: each is honest, all together are gigabytes."""
    count = 2**18
    names = {f"layer.{i}.weight": tensor((count,), count=count) for i in range(4000)}
    names |= {
        "style.1.weight": tensor((512, 512), count=count),
        "input.input": tensor((1, 4, 4, 4), count=count),
        "to_rgb1.conv.weight": tensor((1, 3, 4, 1, 1), count=count),
    }
    return checkpoint({"g_ema": names}, {"0": bytes(4 * count)}, choice)


def numbers_in_names(choice: random.Random) -> bytes:
    """Names that say how many layers there are."""
    n = choice.choice(["1000000000", "99999", "9" * 4400, "٣" * 30, "0" * 50, "-1", "300", "9999"])
    names = choice.choice(
        [
            {"conv_first.weight": (64, 3, 3, 3), "conv_last.weight": (3, 64, 3, 3), "body.0.rdb1.conv1.weight": (32, 64, 3, 3), f"body.{n}.rdb1.conv1.weight": (32, 64, 3, 3),
             "conv_up1.weight": (64, 64, 3, 3), "conv_up2.weight": (64, 64, 3, 3)},
            {"model.0.weight": (64, 3, 3, 3), f"model.1.sub.{n}.RDB1.conv1.0.weight": (32, 64, 3, 3), f"model.{n}.weight": (3, 64, 3, 3)},
            {"model.1.weight": (64, 3, 7, 7), "model.10.conv_block.1.weight": (64, 64, 3, 3), f"model.{n}.conv_block.1.weight": (64, 64, 3, 3), f"model.{n}.weight": (3, 64, 7, 7)},
            {"style.1.weight": (16, 16), "input.input": (1, 16, 4, 4), "to_rgb1.conv.weight": (1, 3, 16, 1, 1), f"style.{n}.weight": (16, 16), f"to_rgbs.{n}.conv.weight": (1, 3, 16, 1, 1),
             f"convs.{n}.conv.weight": (1, 16, 16, 3, 3)},
            {"model.model.0.weight": (4, 3, 4, 4), "model.model.3.weight": (8, 3, 4, 4), "model.model." + "1.model." * 40 + "1.weight": (4, 4, 4, 4)},
            {f"G.{n}.{'a.' * 200}weight": (4, 4)},
        ]
    )  # fmt: skip
    state = {name: torch.zeros(shape) for name, shape in names.items()}
    if choice.random() < 0.2:
        return save(state)
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=choice.random() < 0.5)
    return buffer.getvalue()


def many_names(choice: random.Random) -> bytes:
    """Tables of very many small tensors: whatever looks at each name for each name takes quadratic time."""
    pattern = choice.choice(["model.{}.weight", "model.1.sub.{}.RDB1.conv1.0.weight", "style.{}.weight", "a{}.b.weight", "model.{}.conv_block.1.weight",
                             "to_rgbs.{}.conv.weight", "body.{}.rdb1.conv1.weight"])  # fmt: skip
    names = {pattern.format(i): tensor((2,)) for i in range(choice.choice([6000, 19_000]))}
    names |= {
        name: tensor((2,))
        for name in ("conv_first.weight", "model.1.weight", "input.input", "style.1.weight", "to_rgb1.conv.weight")
    }
    return checkpoint(names, {"0": FOUR}, choice)


def wide_layers(choice: random.Random) -> bytes:
    """Small files of layers that are as wide as they like on one side, from which others would be made that are so on two."""
    wide = choice.choice([100_000, 500_000])
    names = choice.choice(
        [
            {"style.1.weight": (1, wide), "style.1.bias": (1,), "input.input": (1, 4, 4, 4), "to_rgb1.conv.weight": (1, 3, 4, 1, 1)},
            {"style.1.weight": (wide, 1), "input.input": (1, 4, 4, 4), "to_rgb1.conv.weight": (1, 3, 4, 1, 1), "to_rgbs.0.conv.weight": (1, 3, 4, 1, 1), "convs.0.conv.weight": (1, 4, 4, 3, 3)},
            {"conv_first.weight": (wide, 1, 1, 1), "conv_last.weight": (1, wide, 1, 1), "body.0.rdb1.conv1.weight": (wide // 2, 1, 1, 1), "conv_up1.weight": (1,), "conv_up2.weight": (1,)},
            {"model.1.weight": (wide, 1, 1, 1), "model.1.bias": (1,), "model.10.conv_block.1.weight": (1, 1, 3, 3), "model.10.conv_block.5.weight": (1, 1, 3, 3), "model.19.weight": (1, 1, 7, 7)},
            {"model.model.0.weight": (wide, 3, 1, 1), "model.model.3.weight": (8, 3, 4, 4), "model.model.1.model.1.bias": (1,), "model.model.1.model.1.weight": (4, 4, 4, 4)},
        ]
    )  # fmt: skip
    buffer = io.BytesIO()
    torch.save({name: torch.zeros(shape) for name, shape in names.items()}, buffer)
    return buffer.getvalue()


def deflated(choice: random.Random) -> bytes:
    """Zips that unpack to a thousand times their size, and zips within zips."""
    zeros = bytes(choice.choice([30, 60]) << 20)
    kind = choice.randrange(4)
    if kind == 0:
        return torch_zip(b"\x80\x02" + b"B" + struct.pack("<I", len(zeros)) + zeros + b".", {}, zipfile.ZIP_DEFLATED)
    count = len(zeros) // 4
    names = {
        "model.1.weight": tensor((count,), count=count),
        "model.10.conv_block.1.weight": tensor((count,), count=count),
    }
    if kind == 1:
        return torch_zip(pickled(names), {"0": zeros}, zipfile.ZIP_DEFLATED)
    if kind == 2:
        return torch_zip(torch_zip(pickled(names), {"0": zeros}, zipfile.ZIP_DEFLATED), {}, zipfile.ZIP_DEFLATED)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(
            zipfile.ZipInfo("archive/data.pkl"), zeros, choice.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
        )
    return buffer.getvalue()


def forged_zip(choice: random.Random) -> bytes:
    """Zips whose list of members is longer than it says, or says other things than the members."""
    whole = torch_zip(pickled({"model.1.weight": tensor((4,))}), {"0": FOUR})
    kind = choice.randrange(6)
    if kind == 0:  # sizes that are lies
        place = whole.rindex(b"PK\1\2")
        return whole[: place + 20] + struct.pack("<II", 2**31, 2**31) + whole[place + 28 :]
    if kind == 1:  # very many members
        entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
        count = choice.choice([65_535, 300_000])
        return _with_list(whole, entry * count, count)
    if kind == 2:  # extra fields that take quadratic time
        extra = b"\x01\x02\0\0" * 16_000
        entry = (
            struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, len(extra), 0, 0, 0, 0, 0)
            + b"a"
            + extra
        )
        return _with_list(whole, entry * 60, 60)
    if kind == 3:  # one name, twice
        return torch_zip(b"\x80\x02}.", {"../data.pkl": b"\x80\x02}.", "/data.pkl": b""})
    if kind == 4:  # encrypted
        place = whole.rindex(b"PK\1\2")
        return whole[: place + 8] + b"\1\0" + whole[place + 10 :]
    overlapping = whole[: whole.index(b"PK\1\2")]
    listed = whole[whole.index(b"PK\1\2") : whole.index(b"PK\5\6")]
    return _with_list(overlapping, listed * 300, 300)


def _with_list(start: bytes, listed: bytes, count: int) -> bytes:
    """A zip that ends in this list; its length stands in a zip64 record only."""
    at = len(start)
    zip64 = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(listed), at)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at + len(listed), 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return start + listed + zip64 + locator + end


def header_of_safetensors(choice: random.Random) -> bytes:
    """Headers that lie, or are bombs themselves."""
    kind = choice.randrange(8)
    entry = {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 16]}
    if kind == 0:
        return struct.pack("<Q", choice.choice([2**31, 2**40, 100_000_000])) + b'{"a":1}'
    if kind == 1:
        body = b"[" * 3_000_000
    elif kind == 2:
        body = json.dumps(
            {f"layer.{i}.weight": {"dtype": "F32", "shape": [2**18], "data_offsets": [0, 2**20]} for i in range(9000)}
        ).encode()
    elif kind == 3:
        body = json.dumps({"style.1.weight": entry, "input.input": entry, "to_rgb1.conv.weight": entry}).encode()
    elif kind == 4:
        body = b'{"a":' + b"9" * 2_000_000 + b"}"
    elif kind == 5:
        body = json.dumps({"a": entry | {"dtype": choice.choice([[], {}, "F8", 7])}}).encode()
    elif kind == 6:
        body = json.dumps(
            {"a": entry | {"shape": choice.choice([[[2]], ["2"], [-2], [2**70], [1] * 30]), "data_offsets": [8, 4]}}
        ).encode()
    else:
        body = b'{"' + b"a" * 3_000_000 + b'":{}}'
    return struct.pack("<Q", len(body)) + body + (bytes(2**20) if kind == 2 else bytes(16))


def soup(choice: random.Random) -> bytes:
    """Operations of pickle in any order."""
    names = [
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ccollections\nOrderedDict\n",
        b"ctorch\nFloatStorage\n",
        b"c__builtin__\nbytearray\n",
        b"cos\nsystem\n",
    ]
    plain = [
        b"}",
        b"]",
        b")",
        b"N",
        b"(",
        b"K\x04",
        b"X\x01\0\0\0a",
        b"2",
        b"\x94",
        b"h\0",
        b"\x85",
        b"\x86",
        b"\x87",
        b"G" + bytes(8),
        b"J\xff\xff\xff\x7f",
    ]
    acts = [
        b"t",
        b"l",
        b"d",
        b"u",
        b"s",
        b"e",
        b"a",
        b"R",
        b"b",
        b"\x81",
        b"Q",
        b"0",
        b"1",
        b"\x90",
        b"\x91",
        b"\x8f",
        b"\x92",
        b"\x93",
    ]
    body = b"".join(
        choice.choice(choice.choice([names, plain, plain, plain, acts])) for _ in range(choice.choice([20, 200, 5000]))
    )
    return choice.choice([b"\x80\x04" + body + b".", torch_zip(b"\x80\x04" + body + b".", {"0": FOUR})])


def damaged(choice: random.Random) -> bytes:
    """A good file with some bytes changed, or cut."""
    state = {
        "model.1.weight": torch.zeros(8, 3, 7, 7),
        "model.1.bias": torch.zeros(8),
        "model.10.conv_block.1.weight": torch.zeros(8, 8, 3, 3),
    }
    buffer = io.BytesIO()
    kind = choice.randrange(3)
    if kind < 2:
        torch.save({"netG": state, "epoch": 3}, buffer, _use_new_zipfile_serialization=bool(kind))
    content = bytearray(buffer.getvalue() if kind < 2 else save(state))
    for _ in range(choice.choice([1, 4, 30])):
        content[choice.randrange(min(len(content), 1500))] = choice.randrange(256)
        content[-1 - choice.randrange(min(len(content), 900))] = choice.randrange(256)
    return bytes(content[: choice.choice([len(content), len(content) // 2])])


def compressed(choice: random.Random) -> bytes:
    """Not a file of weights at all: a stream that unpacks to much."""
    content = bytes(8 << 20)
    return choice.choice(
        [zlib.compress(content), b"\x1f\x8b\x08" + zlib.compress(content)[2:], b"BZh9" + content[:100]]
    )


KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    asks_for_gigabytes, places_of_the_memo, equal_hashes, long_numbers, nested, shares_without_end, strides_and_shapes, numbers_in_names,
    many_names, wide_layers, deflated, forged_zip, header_of_safetensors, soup, damaged, compressed,
)  # fmt: skip
"""Kinds of files; every one is drawn again and again."""
RARE = (repeats_a_storage,)
"""Kinds that take a while to write."""


def model_folder(choice: random.Random, folder: Path) -> None:
    """A model of gansmith whose settings ask for far more than its weights."""
    family = choice.choice(
        ["gan", "dcgan", "wgan-gp", "r3gan", "stylegan2", "pix2pix", "cyclegan", "cut", "upscale", "inpaint"]
    )
    numbers = [10**30, 2**40, 10**9, 100_000, 3000, -1, 0, 1e308]
    settings: dict[str, Any] = {
        name: choice.choice(numbers)
        for name in choice.sample(["width", "depth", "blocks", "latent_dim", "mapping_layers", "channel_base", "channel_max", "width_discriminator",
                                   "pool", "cardinality", "style_dim", "expansion", "pack", "halvings", "enhancers", "blocks_local", "labels", "width_heads",
                                   "patches"], choice.randint(1, 3))
    }  # fmt: skip
    settings |= {
        "inpaint": {"arch": choice.choice(["gated", "ffc", "migan"])},
        "pix2pix": {"generator": choice.choice(["unet", "global", "local"])},
    }.get(family, {})
    spec = {
        "height": choice.choice([32, 64, 10**9]),
        "width": choice.choice([32, 64, 10**9]),
        "channels": choice.choice([1, 3, 10**9]),
        "classes": choice.choice([0, 0, 10**9]),
    }
    folder.mkdir()
    document = {"format": 1, "family": family, "settings": settings, "spec": spec}
    (folder / "config.json").write_text(json.dumps(document))
    (folder / "model.safetensors").write_bytes(save({"generator.a": torch.zeros(4)}))


def files(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """``count`` hostile files with the names of their kinds; the same for the same seed."""
    for number in range(count):
        choice = random.Random(f"{seed}-{number}")
        kind = RARE[0] if number == 7 else KINDS[number % len(KINDS)]
        yield kind.__name__, kind(choice)
