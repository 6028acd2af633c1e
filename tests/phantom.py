"""A CUDA device that is not there: tensors that say ``cuda`` and hold their numbers on the CPU.

FakeTensorMode carries no numbers, so whatever reads one (``.item()``, ``nonzero``) ends it. A phantom computes on the CPU
and keeps CUDA's rules instead: autocast's and autograd's dispatch keys are CUDA's, device mixes raise as they do there,
and every operation for which the host has to wait for the GPU is noted with the line it came from.

    with phantom_cuda() as watch:
        game = family(config, spec).to("cuda") ...
    watch.waits      # [(kind, "file:line function"), ...]

What it cannot show: missing or slow kernels, memory, strides of CUDA's own kernels, anything of cuDNN or NCCL.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import ctypes
import functools
import os
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_unflatten

CUDA, CPU = torch.device("cuda:0"), torch.device("cpu")
aten = torch.ops.aten

_INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default,
            aten._unsafe_index.Tensor, aten._unsafe_index_put.default}  # fmt: skip
"""These take indices on the CPU beside pictures on the GPU, and copy them over."""
_READS = {aten._local_scalar_dense.default: "item", aten.nonzero.default: "nonzero", aten.equal.default: "equal",
          aten.masked_select.default: "masked_select", aten.repeat_interleave.Tensor: "repeat_interleave",
          aten._linalg_check_errors.default: "linalg check", aten._unique2.default: "unique",
          aten.linalg_eigh.default: "eigh"}  # fmt: skip
"""These wait until the GPU has answered."""
_COPIES = {aten._to_copy.default, aten.copy_.default}
_FREE = {aten.detach.default, aten.alias.default, aten.lift_fresh.default, aten.empty.memory_format,
         aten.empty_like.default, aten.new_empty.default, aten.empty_strided.default, aten.new_empty_strided.default,
         aten._local_scalar_dense.default, aten._linalg_check_errors.default, aten.is_same_size.default}  # fmt: skip
"""No kernel runs for these."""
_CUDNN = {
    aten.cudnn_batch_norm.default: aten.native_batch_norm.default,
    aten.cudnn_batch_norm_backward.default: aten.native_batch_norm_backward.default,
}


class DeviceMix(RuntimeError):
    """What CUDA says of an operation on tensors of two devices."""


class Phantom(torch.Tensor):
    """A tensor on ``cuda:0``, so it says; ``held`` has its numbers, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Phantom:
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=CUDA, requires_grad=False,
        )  # fmt: skip
        made.held = held
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], context: None, size: Any, stride: Any) -> Phantom:
        return Phantom(inner["held"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert Watch.now is not None, "a phantom was used outside of phantom_cuda()"
        return Watch.now.compute(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor first.")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self.numpy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            with torch.no_grad():
                copied: Any = Phantom(self.held.detach().clone())
            if isinstance(self, torch.nn.Parameter):
                copied = torch.nn.Parameter(copied, self.requires_grad)
            elif self.requires_grad:
                copied.requires_grad_(True)
            memo[id(self)] = copied
        return memo[id(self)]

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Phantom({tuple(self.shape)}, {self.dtype})"


class Watch(TorchDispatchMode):
    """Computes for phantoms, and notes what a GPU's host would have waited for.

    Attributes:
        waits: (kind, place) of everything the host waits for: ``item``, ``nonzero``, ``D2H``, ``H2D`` (a copy that waits for
            the whole stream, as ``torch.tensor(..., device="cuda")`` does), ``H2D async`` (non_blocking, but not from pinned memory).
        mixes: (message, place) of operations on two devices; raised too, unless ``forgiving``.
        kernels: how often each operation was started on the GPU.
        places: the same by (operation, place), where ``placed``.
    """

    now: Watch | None = None

    def __init__(self, forgiving: bool = False, placed: bool = False) -> None:
        super().__init__()
        self.forgiving, self.placed = forgiving, placed
        self.bytes_up = 0
        self.clear()

    def clear(self) -> None:
        self.waits: list[tuple[str, str]] = []
        self.mixes: list[tuple[str, str]] = []
        self.kernels: collections.Counter[str] = collections.Counter()
        self.dtypes: collections.Counter[tuple[str, str]] = collections.Counter()
        self.places: collections.Counter[tuple[str, str]] = collections.Counter()
        self.bytes_up = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.compute(func, args, kwargs or {})

    # --- one operation --------------------------------------------------------------------------------------------

    def compute(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        flat, tree = tree_flatten((args, kwargs))
        ghosts = [x for x in flat if isinstance(x, Phantom)]
        asked = next((x for x in flat if isinstance(x, torch.device)), None)
        if not ghosts and (asked is None or asked.type != "cuda"):
            return func(*args, **kwargs)
        if _is_composite(func):  # comes here whole in inference mode
            with self:
                return func.decompose(*args, **kwargs)
        if ghosts and func not in _COPIES:
            flat = self._checked(func, flat, args)
        self._note(func, args, kwargs, flat, bool(ghosts), asked)
        inner = [x.held if isinstance(x, Phantom) else CPU if isinstance(x, torch.device) else x for x in flat]
        inner_args, inner_kwargs = tree_unflatten(inner, tree)
        if "pin_memory" in inner_kwargs:
            inner_kwargs["pin_memory"] = False
        if func is aten._to_copy.default and asked is not None and asked.type == "cpu":
            inner_kwargs["non_blocking"] = False
            return func(*inner_args, **inner_kwargs).clone()
        if func is aten._to_copy.default and asked is not None and not ghosts:  # a copy, never the CPU's own memory
            inner_kwargs["non_blocking"] = False
            return Phantom(func(*inner_args, **inner_kwargs).clone(memory_format=torch.preserve_format))
        made = self._run(func, inner_args, inner_kwargs)
        if func is aten.copy_.default and not isinstance(args[0], Phantom):
            return args[0]
        # in inference mode a view of an ordinary tensor is an ordinary tensor
        ordinary = torch.is_inference_mode_enabled() and _is_view(func) and not args[0].is_inference()
        with torch.inference_mode(False) if ordinary else contextlib.nullcontext():
            wrapped = _wrap(made)
            return return_and_correct_aliasing(func, args, kwargs, wrapped) if _aliases(func) else wrapped

    def _run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if func is aten.cudnn_batch_norm.default:
            x, weight, bias, mean, variance, training, momentum, eps = args
            out = aten.native_batch_norm.default(x, weight, bias, mean, variance, training, momentum, eps)
            return (*out, x.new_empty(0, dtype=torch.uint8))
        if func is aten.cudnn_batch_norm_backward.default:
            x, grad, weight, mean, variance, saved_mean, saved_variance, eps, _ = args
            return aten.native_batch_norm_backward.default(
                grad, x, weight, mean, variance, saved_mean, saved_variance, True, eps, [True, True, True]
            )
        return func(*args, **kwargs)

    def _checked(self, func: Any, flat: list[Any], args: Any) -> list[Any]:
        """CUDA's rule: beside tensors on the GPU, only scalars (and indices) may be on the CPU."""
        own = [x for x in flat if isinstance(x, Tensor) and not isinstance(x, Phantom)]
        strict = func in (aten.cat.default, aten.stack.default)
        strangers = [x for x in own if x.dim() > 0 or strict]
        if func in _INDEXED and isinstance(args[0], Phantom):
            indices = [x for x in args[1] if x is not None and not isinstance(x, Phantom)]
            if indices:
                self.waits.append(("H2D", place()))
            strangers = [x for x in strangers if not any(x is i for i in indices)]
        if "fused_adam" in str(func):  # lr
            strangers = [x for x in strangers if x.dim() > 0]
        if not strangers:
            return flat
        message = (
            f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! ({func})"
        )
        self.mixes.append((message, place()))
        if not self.forgiving:
            raise DeviceMix(f"{message} at {place()}")
        return [Phantom(x) if any(x is s for s in strangers) else x for x in flat]

    def _note(
        self, func: Any, args: Any, kwargs: Any, flat: list[Any], ghosts: bool, asked: torch.device | None
    ) -> None:
        if func in _READS:
            self.waits.append((_READS[func], place()))
        indexed = func in (aten.index.Tensor, aten.index_put_.default) and isinstance(args[0], Phantom)
        if indexed and any(isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in args[1]):
            self.waits.append(("nonzero", place()))
        if func is aten._to_copy.default and asked is not None:
            source = args[0]
            if asked.type == "cpu" and isinstance(source, Phantom):
                self.waits.append(("D2H", place()))
            elif asked.type == "cuda" and not isinstance(source, Phantom):
                self._up(source, kwargs.get("non_blocking", False))
        if func is aten.copy_.default:
            target, source = args[0], args[1]
            blocking = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
            if isinstance(target, Phantom) and isinstance(source, Tensor) and not isinstance(source, Phantom):
                self._up(source, not blocking)
            elif isinstance(source, Phantom) and not isinstance(target, Phantom):
                self.waits.append(("D2H", place()))
        if func not in _FREE and not _is_view(func):
            name = str(func)
            self.kernels[name] += 1
            dtype = next((str(x.dtype)[6:] for x in flat if isinstance(x, Tensor)), "")
            self.dtypes[name, dtype] += 1
            if self.placed:
                self.places[name, place()] += 1

    def _up(self, source: Tensor, non_blocking: bool) -> None:
        self.bytes_up += source.numel() * source.element_size()
        pinned = False  # no machine without a GPU pins memory; ask the code, not this
        self.waits.append(("H2D async" if non_blocking and not pinned else "H2D", place()))


def _wrap(made: Any) -> Any:
    flat, tree = tree_flatten(made)
    return tree_unflatten(
        [Phantom(x) if isinstance(x, Tensor) and not isinstance(x, Phantom) else x for x in flat], tree
    )


@functools.cache
def _is_composite(func: Any) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")


@functools.cache
def _aliases(func: Any) -> bool:
    many = str(func).startswith(("aten._foreach", "aten._fused"))
    return not many and any(a.alias_info is not None for a in [*func._schema.arguments, *func._schema.returns])


@functools.cache
def _is_view(func: Any) -> bool:
    return any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)


_HERE = os.path.abspath(__file__)


def place() -> str:
    """``file:line function`` of the innermost line of the package that is running."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if "/gansmith/" in name and name != _HERE:
            return f"{name.split('/gansmith/')[-1]}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return "a backward pass" if threading.current_thread() is not threading.main_thread() else "outside"


@functools.cache
def let_autograd_run() -> None:
    """A CUDA build of torch without a GPU asks the driver before a backward pass on cuda: answer for it.

    ``CUDAHooks.hasPrimaryContext(0)`` raises there, in FakeTensorMode too (torch 2.14). Its entry in the object's table of
    virtual functions, the fifth of ATen/detail/AcceleratorHooksInterface.h, is replaced by one that says no. Called when this
    module is imported: autograd counts the GPUs at a process's first backward pass, and waits for ever for one it did not see.
    """
    torch._C._ensureCUDADeviceGuardSet()
    if torch.version.cuda is None:
        return
    library = ctypes.CDLL(os.path.join(os.path.dirname(torch.__file__), "lib", "libtorch_cpu.so"))
    library._ZN2at6detail12getCUDAHooksEv.restype = ctypes.c_void_p
    pointer = ctypes.c_void_p.from_address(library._ZN2at6detail12getCUDAHooksEv())
    old, word, entries = pointer.value, ctypes.sizeof(ctypes.c_void_p), 128
    assert old is not None
    table = (ctypes.c_void_p * (entries + 2)).from_buffer_copy(ctypes.string_at(old - 2 * word, (entries + 2) * word))
    answer = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_int8)(lambda this, index: False)
    table[2 + 4] = ctypes.cast(answer, ctypes.c_void_p).value
    pointer.value = ctypes.addressof(table) + 2 * word
    atexit.register(lambda kept: setattr(pointer, "value", old), (table, answer))


let_autograd_run()


@contextlib.contextmanager
def phantom_cuda(
    *, forgiving: bool = False, placed: bool = False, capability: tuple[int, int] = (9, 0), bf16: bool = True
) -> Iterator[Watch]:
    """Inside, there is one GPU. Threads that the package starts see it too.

    Args:
        forgiving: note device mixes and go on, instead of raising.
        placed: note the line of every kernel (slow).
        capability, bf16: what the GPU says of itself.
    """
    import concurrent.futures

    watch = Watch(forgiving, placed)
    seeds: list[int] = []
    answers: dict[str, Any] = {
        "is_available": lambda: True, "is_initialized": lambda: True, "_lazy_init": lambda: None, "init": lambda: None,
        "device_count": lambda: 1, "current_device": lambda: 0, "set_device": lambda d: None,
        "get_device_capability": lambda d=None: capability, "get_device_name": lambda d=None: "Phantom",
        "is_bf16_supported": lambda including_emulation=True: bf16, "synchronize": lambda d=None: None,
        "manual_seed_all": seeds.append, "manual_seed": seeds.append, "mem_get_info": lambda d=None: (1 << 34, 1 << 34),
        "memory_allocated": lambda d=None: 0, "max_memory_allocated": lambda d=None: 0,
        "reset_peak_memory_stats": lambda d=None: None,
    }  # fmt: skip

    class Pool(concurrent.futures.ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            def inside() -> Any:
                if torch.utils._python_dispatch._get_current_dispatch_mode() is watch:
                    return fn(*args, **kwargs)
                torch._C._set_only_lift_cpu_tensors(True)
                with watch:
                    return fn(*args, **kwargs)

            return super().submit(inside)

    before = torch._C._only_lift_cpu_tensors(), torch.__future__.get_overwrite_module_params_on_conversion()
    outer, Watch.now = Watch.now, watch
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch._C._set_only_lift_cpu_tensors(True)
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with contextlib.ExitStack() as stack:
            for name, answer in answers.items():
                stack.enter_context(mock.patch.object(torch.cuda, name, answer))
            for module in [m for n, m in list(sys.modules.items()) if n.startswith("gansmith.")]:
                if getattr(module, "ThreadPoolExecutor", None) is concurrent.futures.ThreadPoolExecutor:
                    stack.enter_context(mock.patch.object(module, "ThreadPoolExecutor", Pool))
            stack.enter_context(watch)
            yield watch
    finally:
        torch._C._set_only_lift_cpu_tensors(before[0])
        torch.__future__.set_overwrite_module_params_on_conversion(before[1])
        Watch.now = outer
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
