"""Pictures from every kind of place, in every mode, and what is said of the bad ones."""

import gzip
import os
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith.data import MemoryPictures, StreamedPictures, open_paired, open_photographs, open_pictures, open_unpaired
from gansmith.data.arrays import read_idx
from gansmith.errors import DataError, MissingExtra


def colours(seed: int, height: int = 16, width: int = 16, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8).squeeze()


def smooth(height: int, width: int) -> np.ndarray:
    """A gradient that survives JPEG and palettes: red from left to right, green from top to bottom."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), np.full_like(x, 90)], -1).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def folder(path: Path, count: int = 4, **shape) -> Path:
    for i in range(count):
        save(path / f"{i:02d}.png", colours(i, **shape))
    return path


def everything(pictures) -> np.ndarray:
    return pictures.fetch(np.arange(len(pictures)))[0].numpy()


# --- places


def test_embedded_digits():
    digits = open_pictures("mnist10k")
    assert digits.spec.shape == (1, 28, 28)
    assert digits.spec.class_names == tuple("0123456789")
    x, y = digits.fetch(np.array([0, 9999, 5]))
    assert x.shape == (3, 1, 28, 28)
    assert x.dtype == torch.uint8
    assert y is not None
    assert y.dtype == torch.int64
    assert len(digits) == 10_000
    assert digits.name == "mnist10k"
    assert digits.hash == open_pictures("mnist10k").hash != open_pictures("mnist10k", labels=False).hash


def test_slices_and_shares(tmp_path):
    whole = open_pictures("mnist10k")
    assert isinstance(whole, MemoryPictures)
    part = open_pictures("mnist10k[10:20:5]")
    assert (everything(part) == whole.x[[10, 15]].numpy()).all()
    assert part.spec.classes == 10
    assert part.name == "mnist10k[10:20:5]"
    assert len(open_pictures("mnist10k[-3:]")) == 3
    train, held = open_pictures("mnist10k[:90%]"), open_pictures("mnist10k[90%:]")
    assert sorted(train.names + held.names) == sorted(whole.names)
    assert isinstance(held, MemoryPictures)
    assert held.y is not None
    assert whole.y is not None
    shares = torch.bincount(held.y) / torch.bincount(whole.y)
    assert ((shares - 0.1).abs() < 0.002).all(), "every class in proportion"
    for wrong in ("mnist10k[5:5]", "mnist10k[::0]", "mnist10k[:120%]", "mnist10k[5:90%]"):
        with pytest.raises(DataError):
            open_pictures(wrong)
    assert len(open_pictures(str(folder(tmp_path / "odd[1:2]", 3)))) == 3, "a folder may be called like a slice"


def test_folder_is_recursive_and_sub_folders_are_classes(tmp_path):
    for i, name in enumerate(["10", "9", "9/deeper"]):
        folder(tmp_path / "all" / name, 2 + i)
    pictures = open_pictures(str(tmp_path))
    assert pictures.spec.class_names == ("9", "10"), "numbers in their order"
    labels = pictures.fetch(np.arange(9))[1]
    assert labels is not None
    assert labels.bincount().tolist() == [7, 2]
    assert open_pictures(str(tmp_path), labels=False).spec.classes == 0
    save(tmp_path / "all" / "loose.png", colours(1))
    assert open_pictures(str(tmp_path)).spec.classes == 0, "one picture outside a class folder: no labels"


def test_other_files_and_hidden_ones_are_left_alone(tmp_path):
    folder(tmp_path, 3)
    for name in (".hidden.png", "__MACOSX/x.png", ".git/y.png", "notes.txt", "labels.csv", "meta.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    pictures = open_pictures(str(tmp_path))
    assert len(pictures) == 3
    assert pictures.skipped == []


def test_zip_equals_folder_and_nothing_escapes(tmp_path):
    for name in "ab":
        folder(tmp_path / "in" / name, 3)
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((tmp_path / "in").rglob("*.png")):
            archive.write(file, f"in/{file.relative_to(tmp_path / 'in')}")
        archive.write(file, "../escaped.png")
        archive.writestr(zipfile.ZipInfo("/absolute.png"), file.read_bytes())
        archive.write(file, "__MACOSX/in/a/._00.png")
        archive.writestr("in/readme.txt", "x")
    zipped, plain = open_pictures(str(path)), open_pictures(str(tmp_path / "in"))
    assert (everything(zipped) == everything(plain)).all()
    assert zipped.spec == plain.spec
    assert zipped.spec.class_names == ("a", "b")
    assert not (tmp_path / "escaped.png").exists()
    streamed = open_pictures(str(path), memory_limit=0)
    assert isinstance(streamed, StreamedPictures)
    assert (everything(streamed) == everything(plain)).all()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read as a zip"):
        open_pictures(str(path))


def test_zips_whose_names_begin_with_a_dot(tmp_path):
    folder(tmp_path / "in" / "a", 2)
    with zipfile.ZipFile(tmp_path / "dots.zip", "w") as archive:
        for name in ("./cats/00.png", "./dogs/./01.png", "./.hidden/02.png"):
            archive.write(tmp_path / "in" / "a" / "00.png", name)
    pictures = open_pictures(str(tmp_path / "dots.zip"))
    assert pictures.names == ["cats/00.png", "dogs/01.png"]
    assert pictures.spec.class_names == ("cats", "dogs")


def test_parts_of_a_set_are_no_classes(tmp_path):
    for part in ("train", "Test"):
        folder(tmp_path / "flat" / part, 2)
        for name in ("cats", "dogs"):
            folder(tmp_path / "split" / part / name, 2)
    assert open_pictures(str(tmp_path / "flat")).spec.classes == 0
    assert open_pictures(str(tmp_path / "split")).spec.class_names == ("cats", "dogs")
    folder(tmp_path / "flat" / "bus", 2)
    assert open_pictures(str(tmp_path / "flat")).spec.class_names == ("Test", "bus", "train"), "a train may be a class"


def test_links_that_go_round_and_folders_that_cannot_be_read(tmp_path, monkeypatch):
    folder(tmp_path / "a", 3)
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nothing.png")
    for i in range(10):
        save(tmp_path / "a" / f"more{i}.png", colours(i))
    pictures = open_pictures(str(tmp_path))
    assert (len(pictures), pictures.skipped) == (13, [("a/gone.png", "the file is gone")])
    scandir = os.scandir

    def guarded(path):
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError, match=r"The folder '.*/a' cannot be read \(Permission denied\)"):
        open_pictures(str(tmp_path))


def test_a_folder_of_arrays_says_how_to_name_them(tmp_path):
    np.savez(tmp_path / "set.npz", x=np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(DataError, match=r"by its own path, such as that of set\.npz"):
        open_pictures(str(tmp_path))


@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_npz(tmp_path, channels):
    x = colours(0, 40, 9 * (channels or 1)).reshape(-1)[: 5 * 8 * 9 * (channels or 1)]
    x = x.reshape((5, 8, 9, channels) if channels else (5, 8, 9))
    np.savez(tmp_path / "set.npz", x=x, y=np.array([0, 2, 1, 0, 2]))
    pictures = open_pictures(str(tmp_path / "set.npz"), channels=4 if channels == 4 else None)
    assert pictures.spec.shape == (channels or 1, 8, 9)
    assert pictures.spec.classes == 3
    assert (everything(pictures) == x.reshape(5, 8, 9, -1).transpose(0, 3, 1, 2)).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros((2, 8, 8), np.uint8)}, "no array 'x'"),
        ({"x": np.zeros((2, 8, 8), np.float32)}, "uint8"),
        ({"x": np.zeros((2, 3, 8, 8), np.uint8)}, "channels first"),
        ({"x": np.zeros((8, 8), np.uint8)}, "shape"),
        ({"x": np.zeros((0, 8, 8), np.uint8)}, "empty"),
        ({"x": np.zeros((2, 7, 8), np.uint8)}, "too small"),
        ({"x": np.zeros((2, 8, 8), np.uint8), "y": np.zeros(3, int)}, "labels"),
        ({"x": np.zeros((2, 8, 8), np.uint8), "y": np.array([0.5, 1])}, "whole numbers"),
        ({"x": np.zeros((2, 8, 8), np.uint8), "y": np.array([-1, 1])}, "from 0"),
        ({"x": np.array([{}, {}], dtype=object)}, "plain arrays"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=message):
        open_pictures(str(tmp_path / "bad.npz"))


def test_damaged_npz(tmp_path):
    path = tmp_path / "bad.npz"
    np.savez_compressed(path, x=colours(0, 80, 80).reshape(-1, 8, 8))
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read as an \.npz"):
        open_pictures(str(path))
    with path.open("wb") as file:
        np.save(file, np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(DataError, match=r"one array without a name"):
        open_pictures(str(path))
    for content in (b"", b"text", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read as an \.npz"):
            open_pictures(str(path))
    np.savez(path, x=np.zeros((2, 8, 8), np.uint8), y=np.array([0, 1]), class_names=np.array("cat"))
    assert open_pictures(str(path)).spec.class_names == ("cat", "1")


def test_npy(tmp_path):
    x = colours(0, 24, 9).reshape(-1, 8, 9, 3)
    np.save(tmp_path / "set.npy", x)
    assert (everything(open_pictures(str(tmp_path / "set.npy"))) == x.transpose(0, 3, 1, 2)).all()
    np.save(tmp_path / "objects.npy", np.array([{}, {}], dtype=object))
    with pytest.raises(DataError, match=r"plain numbers"):
        open_pictures(str(tmp_path / "objects.npy"))


def test_arrays_are_taken_as_they_are():
    x = colours(3, 12, 10)[None].repeat(2, 0)
    pictures = MemoryPictures.from_arrays(x, np.array([[1], [0]]), name="mine", class_names=("cat", "dog"))
    assert (pictures.x.numpy() == x.transpose(0, 3, 1, 2)).all()
    assert pictures.spec.class_names == ("cat", "dog")
    assert pictures.names == ["mine#0", "mine#1"]
    taken = pictures.take(np.array([1]))
    assert len(taken) == 1
    assert taken.hash != pictures.hash


def write_idx(path: Path, array: np.ndarray) -> None:
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_files(tmp_path, ending):
    train, test = colours(1, 6, 64, 1).reshape(-1, 8, 8), colours(2, 4, 64, 1).reshape(-1, 8, 8)
    for part, x in (("train", train), ("t10k", test)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte{ending}", x)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte{ending}", np.arange(len(x)) % 2)
    for spec, x in (
        (str(tmp_path), train),
        (f"{tmp_path}:test", test),
        (str(tmp_path / f"t10k-images-idx3-ubyte{ending}"), test),
    ):
        pictures = open_pictures(spec)
        assert (everything(pictures) == x[:, None]).all()
        assert pictures.spec.classes == 2
    file = tmp_path / "cut-images-idx3-ubyte"
    write_idx(file, train)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="cut short"):
        open_pictures(str(file))
    packed = bytearray(gzip.compress(b"\0\0\x08\x03" + bytes(range(256)) * 40))
    packed[20:60] = bytes(40)
    for name, content in (("large", b"\0\0\x08\x04" + b"\xff" * 16 + bytes(8)), ("packed", packed)):
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read|cut short|unknown type"):
            open_pictures(str(tmp_path / f"{name}-images-idx3-ubyte"))
    with pytest.raises(DataError, match="not an IDX file"):
        read_idx(save(tmp_path / "a.png", colours(1)))


def test_a_standard_set_from_the_system_and_one_that_cannot_be_downloaded(tmp_path, monkeypatch):
    from gansmith.data import standard

    x = colours(1, 6, 784, 1).reshape(-1, 28, 28)
    write_idx(tmp_path / "fashion-mnist" / "t10k-images-idx3-ubyte.gz", x)
    write_idx(tmp_path / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz", np.arange(6))
    monkeypatch.setattr(standard, "_SYSTEM", (tmp_path,))
    clothes = open_pictures("fashion-mnist:test")
    assert (everything(clothes) == x[:, None]).all()
    assert clothes.spec.class_names[9] == "Ankle boot"

    from torchvision import datasets

    def offline(*_, **__):
        raise RuntimeError("Error downloading x.gz:\nTried ...")

    monkeypatch.setenv("GANSMITH_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "CIFAR10", offline)
    with pytest.raises(DataError, match=r"could not be downloaded .*cache/cifar10.*mnist10k") as error:
        open_pictures("cifar10")
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="train, test"):
        open_pictures("cifar10:valid")


def test_a_set_is_ready_once_its_download_has_ended_well(tmp_path, monkeypatch):
    """A folder alone proves nothing: a download that failed leaves one too."""
    from torchvision import datasets

    from gansmith.data import standard

    monkeypatch.setattr(standard, "_SYSTEM", (tmp_path / "system",))
    monkeypatch.setenv("GANSMITH_DATA", str(tmp_path / "cache"))
    assert [name for name, set_ in standard.about_all().items() if set_.ready] == ["mnist10k"]
    assert all(set_.megabytes > 10 for name, set_ in standard.about_all().items() if name != "mnist10k")

    def cut_short(root, **_):
        (Path(root) / "train_32x32.mat").write_bytes(b"half of it")
        raise RuntimeError("connection lost")

    class Held:
        def __init__(self, root, download, split):
            self.data, self.labels = np.zeros((2, 3, 32, 32), np.uint8), np.arange(2)

    monkeypatch.setattr(datasets, "SVHN", cut_short)
    with pytest.raises(DataError, match="could not be downloaded"):
        open_pictures("svhn")
    assert (tmp_path / "cache" / "svhn").is_dir()
    assert not standard.is_ready("svhn")
    monkeypatch.setattr(datasets, "SVHN", Held)
    open_pictures("svhn:test")  # another file of that set
    assert not standard.is_ready("svhn")
    open_pictures("svhn")
    assert standard.is_ready("svhn")
    (tmp_path / "system" / "fashion-mnist").mkdir(parents=True)
    assert not standard.is_ready("fashion-mnist")
    write_idx(tmp_path / "system" / "fashion-mnist" / "train-images-idx3-ubyte.gz", np.zeros((2, 28, 28), np.uint8))
    assert standard.is_ready("fashion-mnist")


def test_standard_sets_in_torchvisions_layouts(tmp_path, monkeypatch):
    """Downloads are torchvision's; what it leaves on the disk or in memory is ours to read."""
    from scipy.io import savemat
    from torchvision import datasets

    class Held:
        def __init__(self, root, download, train=True, split="balanced"):
            self.data = torch.from_numpy(colours(1, 6, 784, 1).reshape(-1, 28, 28))
            self.targets, self.classes = torch.arange(1, 7), ["N/A", *"abcdef"]

    monkeypatch.setenv("GANSMITH_DATA", str(tmp_path))
    monkeypatch.setattr(datasets, "EMNIST", Held)
    letters = open_pictures("emnist-letters")
    assert (everything(letters)[:, 0] == Held("", True).data.numpy().transpose(0, 2, 1)).all(), "set upright"
    assert letters.spec.class_names == tuple("abcdef")

    for kind in ("CelebA", "Flowers102", "OxfordIIITPet"):
        monkeypatch.setattr(datasets, kind, lambda *_, **__: None)
    celeba = tmp_path / "celeba" / "celeba"
    for i in range(1, 5):
        save(celeba / "img_align_celeba" / f"{i:06d}.jpg", smooth(22, 18))
    (celeba / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n000004.jpg 2\n")
    assert (len(open_pictures("celeba")), len(open_pictures("celeba:test"))) == (4, 2)

    flowers = tmp_path / "flowers102" / "flowers-102"
    for i in range(1, 4):
        save(flowers / "jpg" / f"image_{i:05d}.jpg", smooth(20, 20 + i))
    savemat(flowers / "imagelabels.mat", {"labels": np.array([[2, 1, 2]], np.uint8)})
    savemat(flowers / "setid.mat", {"trnid": [[3]], "valid": [[1]], "tstid": [[2]]})
    labels = open_pictures("flowers102", size=16).fetch(np.arange(3))[1]
    assert labels is not None
    assert labels.tolist() == [1, 0, 1]
    assert open_pictures("flowers102:train", size=16).names == ["image_00003.jpg"]

    pets = tmp_path / "pets" / "oxford-iiit-pet"
    for name in ("Bengal_1", "great_dane_7"):
        save(pets / "images" / f"{name}.jpg", smooth(20, 20))
    (pets / "annotations").mkdir()
    (pets / "annotations" / "trainval.txt").write_text("# id\ngreat_dane_7 2 2 1\n")
    (pets / "annotations" / "test.txt").write_text("Bengal_1 1 1 1\n")
    assert open_pictures("pets").spec.class_names == ("Bengal", "great_dane")


def test_hub_names_the_extra_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"gansmith\[hub\]"):
        open_pictures("hf:someone/pictures")


def test_hub_finds_columns_by_type(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for i, name in enumerate(["ant", "bee"]):
        folder(tmp_path / "set" / "train" / name, 2 + i)
    pictures = open_pictures(f"hf:{tmp_path / 'set'}")
    assert pictures.spec.class_names == ("ant", "bee")
    assert len(pictures) == 5
    with pytest.raises(DataError, match="could not be loaded"):
        open_pictures(f"hf:{tmp_path / 'set'}:nosplit")


# --- formats and modes


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "webp", "bmp", "tif", "TIFF", "gif"])
def test_every_format(tmp_path, ending):
    save(tmp_path / f"a.{ending}", smooth(24, 32))
    pictures = open_pictures(str(tmp_path))
    assert pictures.spec.shape == (3, 24, 32)
    error = np.abs(everything(pictures)[0].transpose(1, 2, 0).astype(int) - smooth(24, 32))
    assert error.mean() < 12, "near enough through lossy formats"


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (16, 16), c) for c in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert everything(open_pictures(str(tmp_path)))[0, :, 3, 3].tolist() == [255, 0, 0]


def test_grey_modes_give_one_channel(tmp_path):
    grey = smooth(16, 16)[:, :, 0]
    save(tmp_path / "l.png", grey)
    Image.fromarray(grey).convert("P").save(tmp_path / "p.png")
    Image.fromarray(np.dstack([grey, np.full_like(grey, 255)]), mode=None).save(tmp_path / "la.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.tif")
    Image.fromarray((grey / 255).astype(np.float32)).save(tmp_path / "real.tif")
    pictures = open_pictures(str(tmp_path))
    assert pictures.spec.channels == 1
    assert (everything(pictures) == grey).all(), "16 bits and floats are scaled, not clipped"
    Image.fromarray(grey).convert("1").save(tmp_path / "bits.png")
    assert set(np.unique(everything(open_pictures(str(tmp_path)))[0])) == {0, 255}


def test_colour_among_grey_gives_three_channels(tmp_path):
    save(tmp_path / "a.png", colours(1, channels=1))
    save(tmp_path / "b.png", smooth(16, 16))
    Image.fromarray(smooth(16, 16)).convert("CMYK").save(tmp_path / "c.tif")
    Image.fromarray(smooth(16, 16)).quantize(64).save(tmp_path / "d.png")
    pixels = everything(open_pictures(str(tmp_path)))
    assert pixels.shape == (4, 3, 16, 16)
    assert (pixels[0, 0] == pixels[0, 2]).all()
    for i, most in ((1, 1), (2, 20), (3, 12)):  # inks are duller than light
        assert np.abs(pixels[i].transpose(1, 2, 0).astype(int) - smooth(16, 16)).mean() < most
    assert everything(open_pictures(str(tmp_path), channels=1)).shape == (4, 1, 16, 16)
    with pytest.raises(DataError, match="not 2"):
        open_pictures(str(tmp_path), channels=2)


def test_transparent_pixels_lie_on_white_unless_alpha_is_asked_for(tmp_path):
    rgba = np.dstack([smooth(16, 16), np.zeros((16, 16), np.uint8)])
    rgba[:8, :, 3] = 255
    save(tmp_path / "rgba.png", rgba)
    pixels = everything(open_pictures(str(tmp_path)))[0].transpose(1, 2, 0)
    assert (pixels[:8] == rgba[:8, :, :3]).all()
    assert (pixels[8:] == 255).all()
    assert (everything(open_pictures(str(tmp_path), channels=4))[0].transpose(1, 2, 0) == rgba).all()
    palette = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16), mode=None).convert("P")
    palette.save(tmp_path / "rgba.png", transparency=0)
    assert everything(open_pictures(str(tmp_path)))[0, 0, 0, :2].tolist() == [255, 1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation(tmp_path, orientation):
    from PIL import ImageOps

    image = Image.fromarray(smooth(16, 24))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))
    assert (everything(open_pictures(str(tmp_path)))[0].transpose(1, 2, 0) == expected).all()


def test_whole_numbers_of_32_bits_are_no_picture(tmp_path):
    folder(tmp_path, 20)
    Image.fromarray(colours(1, channels=1).astype(np.int32)).save(tmp_path / "deep.tif")
    assert dict(open_pictures(str(tmp_path)).skipped).keys() == {"deep.tif"}, "it would be nearly black"


def test_damaged_metadata_do_not_spoil_a_picture(tmp_path):
    for i, exif in enumerate((b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")):
        Image.fromarray(smooth(16, 24)).save(tmp_path / f"{i}.jpg", exif=exif)
    pictures = open_pictures(str(tmp_path))
    assert (len(pictures), pictures.skipped, pictures.spec.shape) == (2, [], (3, 16, 24))


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("limit", [None, 0])
def test_exif_turns_pictures_upright(tmp_path, ending, limit):
    image = Image.fromarray(smooth(16, 24))
    exif = image.getexif()
    exif[0x0112] = 6  # lies on its side: rotate by 90 degrees clockwise
    image.save(tmp_path / f"a.{ending}", exif=exif)
    pictures = open_pictures(str(tmp_path), memory_limit=limit)
    assert pictures.spec.shape == (3, 24, 16)
    expected = np.rot90(smooth(16, 24), -1)
    assert np.abs(everything(pictures)[0].transpose(1, 2, 0).astype(int) - expected).mean() < 12


def test_resizing_is_antialiased_and_cuts_out_the_middle(tmp_path):
    stripes = np.zeros((64, 128), np.uint8)
    stripes[:, ::2] = 255
    stripes[:, :32] = 0
    save(tmp_path / "a.png", stripes)
    small = everything(open_pictures(str(tmp_path), size=16))[0, 0].astype(int)
    assert small.shape == (16, 16)
    assert np.abs(small - 128).max() <= 16, "stripes average to grey, and the black left edge is cut off"
    assert open_pictures(str(tmp_path), size=(8, 24)).spec.shape == (1, 8, 24)
    save(tmp_path / "b.jpg", smooth(640, 640))
    assert (
        np.abs(
            everything(open_pictures(str(tmp_path), size=32))[1].transpose(1, 2, 0) - smooth(32, 32).astype(int)
        ).mean()
        < 5
    )


# --- sizes, memory, hash


def test_sizes_that_differ_need_a_size(tmp_path):
    save(tmp_path / "a.png", colours(1, 16, 20))
    save(tmp_path / "b.png", colours(2, 40, 30))
    with pytest.raises(DataError, match=r"2 different sizes, 20x16 to 30x40.*--size"):
        open_pictures(str(tmp_path))
    assert open_pictures(str(tmp_path), size=16).spec.shape == (3, 16, 16)


def test_size_seven(tmp_path):
    with pytest.raises(DataError, match="Size 7 is too small"):
        open_pictures("mnist10k", size=7)
    with pytest.raises(DataError, match="too small"):
        open_pictures(str(folder(tmp_path, 2, height=7)))


def test_streamed_and_held_are_the_same(tmp_path):
    for name in "ab":
        folder(tmp_path / name, 5)
    held, streamed = open_pictures(str(tmp_path)), open_pictures(str(tmp_path), memory_limit=10 * 768 - 1)
    assert (type(held), type(streamed)) == (MemoryPictures, StreamedPictures)
    assert (held.hash, held.spec, held.names) == (streamed.hash, streamed.spec, streamed.names)
    rows = np.array([3, 9, 3, 0])
    for one, other in zip(held.fetch(rows), streamed.fetch(rows), strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)


def test_hash_tells_contents_apart(tmp_path):
    before = open_pictures(str(folder(tmp_path, 3))).hash
    (tmp_path / "02.png").rename(tmp_path / "03.png")
    assert open_pictures(str(tmp_path)).hash == before, "names do not count"
    assert open_pictures(str(tmp_path), size=8).hash != before
    pixels = colours(1)
    pixels[-1, -1] ^= 1
    save(tmp_path / "01.png", pixels)
    assert open_pictures(str(tmp_path)).hash != before


def test_progress_ends_at_the_total(tmp_path):
    calls: list[tuple[int, int]] = []
    open_pictures(str(folder(tmp_path, 20)), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (40, 40)
    assert calls == sorted(calls)


# --- bad input


def break_files(path: Path, monkeypatch) -> dict[str, str]:
    """Six kinds of broken files, and what is to be said of them."""
    whole = save(path / "cut.jpg", smooth(64, 64)).read_bytes()
    (path / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (path / "empty.png").write_bytes(b"")
    (path / "text.png").write_text("this is no picture")
    save(path / "bomb.png", np.zeros((400, 400), np.uint8))
    save(path / "bigger.png", np.zeros((700, 700), np.uint8))
    (path / "script.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150_000)
    return {
        "cut.jpg": "truncated",
        "empty.png": "empty",
        "text.png": "not a picture",
        "bomb.png": "over the limit",
        "bigger.png": "bomb",
        "script.png": "not a picture",
    }


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("limit", [None, 0])
def test_broken_files_are_skipped_with_their_reasons(tmp_path, monkeypatch, limit):
    bad = break_files(folder(tmp_path, 60, height=64, width=64), monkeypatch)
    pictures = open_pictures(str(tmp_path), memory_limit=limit)
    pixels = everything(pictures)
    reasons = dict(pictures.skipped)
    assert reasons.keys() == bad.keys()
    for name, reason in bad.items():
        assert reason in reasons[name]
    assert (pixels[:60] == np.stack([colours(i, 64, 64) for i in range(60)]).transpose(0, 3, 1, 2)).all()
    if limit == 0:
        assert len(pictures) == 61, "a header does not tell that the rest is missing"
        assert (pixels[60] == pixels[0]).all(), "the next one stands in"
        everything(pictures)
        assert len(pictures.skipped) == 6, "listed once"


def test_too_many_broken_files_are_refused(tmp_path, monkeypatch):
    break_files(folder(tmp_path, 20, height=64, width=64), monkeypatch)
    with pytest.raises(DataError, match=r"5 of 26 pictures .* more than 10%.*data check"):
        open_pictures(str(tmp_path))


def test_too_many_found_broken_while_streaming(tmp_path):
    folder(tmp_path, 8)
    whole = (tmp_path / "03.png").read_bytes()
    (tmp_path / "03.png").write_bytes(whole[:-200])
    pictures = open_pictures(str(tmp_path), memory_limit=0)
    pictures.fetch(np.array([0, 1]))
    with pytest.raises(DataError, match=r"03\.png"):
        pictures.fetch(np.array([3]))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnst", "Did you mean 'mnist'"),
        ("fashion_mnist", "Did you mean 'fashion-mnist'"),
        ("{}/gone", "no such file or folder"),
        ("{}/picturs", "Did you mean '{}/pictures'"),
        ("{}/empty", "is empty"),
        ("{}/texts", r"no pictures among its 1 files \(.txt\)"),
        ("{}/texts/a.txt", "unknown type"),
        ("", "empty"),
        ("mnist10k:test", "no split 'test'"),
        ("mnist10k[1:-]", "no such file or folder"),
        ("x" * 5000, "cannot be read"),
    ],
)
def test_nothing_there(tmp_path, spec, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("hello")
    folder(tmp_path / "pictures")
    with pytest.raises(DataError, match=message.format(tmp_path)):
        open_pictures(spec.format(tmp_path))


# --- two sides


def test_unpaired_sides_of_any_number_and_size(tmp_path):
    folder(tmp_path / "a", 3)
    folder(tmp_path / "b", 5, height=20, channels=1)
    two = open_unpaired(str(tmp_path / "a"), str(tmp_path / "b"), size=12)
    assert (len(two.a), len(two.b), two.aligned) == (3, 5, False)
    assert (two.spec.shape, two.spec.other_channels, two.spec.classes) == ((3, 12, 12), 1, 0)
    with pytest.raises(DataError, match=r"16x16.*16x20.*--size"):
        open_unpaired(str(tmp_path / "a"), str(tmp_path / "b"))


def paired_folders(path: Path, count: int = 24) -> tuple[Path, Path]:
    for i in range(count):
        save(path / "a" / f"sub{i % 2}" / f"{i:02d}.png", colours(i, channels=1))
        save(path / "b" / f"sub{i % 2}" / f"{i:02d}.BMP", np.dstack([colours(i, channels=1)] * 3))
    return path / "a", path / "b"


@pytest.mark.parametrize("limit", [None, 0, 24 * 256 * 3])
def test_pairs_by_name_stay_together_when_files_break(tmp_path, limit):
    a, b = paired_folders(tmp_path)
    save(a / "alone.png", colours(1, channels=1))
    (a / "sub0" / "04.png").write_bytes(b"")
    whole = (b / "sub1" / "07.BMP").read_bytes()
    (b / "sub1" / "07.BMP").write_bytes(whole[:-300])
    two = open_paired(str(a), str(b), memory_limit=limit)
    assert (two.spec.channels, two.spec.other_channels, two.aligned) == (1, 3, True)
    left, right = two.fetch(np.arange(len(two.a)))
    assert len(two.a) == len(two.b) == (23 if two.a.streams else 22)
    assert torch.equal(left.expand(-1, 3, -1, -1), right)
    assert {Path(name).name for name, _ in two.skipped} == {"alone.png", "04.png", "07.BMP"}


def test_pairs_side_by_side(tmp_path):
    for i in range(12):
        save(tmp_path / f"{i:02d}.png", np.hstack([colours(i), 255 - colours(i)]))
    save(tmp_path / "odd.png", colours(1, 16, 31))
    two = open_paired(str(tmp_path))
    assert two.spec.shape == (3, 16, 16)
    left, right = two.fetch(np.arange(12))
    assert torch.equal(left, 255 - right)
    assert "even width" in dict(two.skipped)["odd.png"]
    assert two.a.hash != two.b.hash
    assert open_paired(str(tmp_path), size=8).spec.shape == (3, 8, 8)


def test_nothing_pairs_up(tmp_path):
    folder(tmp_path / "a")
    save(tmp_path / "b" / "other.png", colours(1))
    with pytest.raises(DataError, match="No picture in 'a' has a partner"):
        open_paired(str(tmp_path / "a"), str(tmp_path / "b"))


# --- photographs


@pytest.mark.parametrize("limit", [None, 0])
def test_windows_of_photographs(tmp_path, limit):
    shapes = [(40, 60), (64, 33), (32, 32)]
    for i, (height, width) in enumerate(shapes):
        save(tmp_path / f"{i}.png", colours(i, height, width))
    save(tmp_path / "small.png", colours(9, 31, 80))
    photos = open_photographs(str(tmp_path), min_size=32, memory_limit=limit)
    assert (len(photos), photos.streams) == (3, limit == 0)
    assert dict(photos.skipped) == {"small.png": "80x31, smaller than 32"}
    assert photos.spec_for(32).shape == (3, 32, 32)
    corners = np.array([[0, 0], [0.999, 0.999], [0.5, 0.5], [0.5, 0]])
    windows = photos.crops(np.array([0, 1, 2, 0]), 32, corners, np.array([False, False, True, False])).numpy()
    assert (windows[0] == colours(0, *shapes[0])[:32, :32].transpose(2, 0, 1)).all()
    assert (windows[1] == colours(1, *shapes[1])[32:, 1:].transpose(2, 0, 1)).all()
    assert (windows[2] == colours(2, *shapes[2])[:, ::-1].transpose(2, 0, 1)).all()
    assert (windows[3] == colours(0, *shapes[0])[4:36, :32].transpose(2, 0, 1)).all()
    assert photos.hash == open_photographs(str(tmp_path), min_size=32).hash
    with pytest.raises(DataError, match="smaller than the window"):
        photos.crops(np.array([2]), 33, corners[:1])
    with pytest.raises(DataError, match="smaller than the window"):
        open_photographs(str(tmp_path), min_size=65)
