"""A CUDA device that is not there: its tensors say ``cuda`` and keep their numbers on the CPU.

    with phantom_cuda() as watch:
        game = family(config, spec).to("cuda")
        ...
    watch.waits  # [Wait("item", "nn/augment.py:320 forward"), ...]

The rules are CUDA's: the dispatch keys of autocast and autograd are, an operation on tensors of two devices raises, and whatever
the host waits for is noted with the line of the package that asked. Numbers are real, so that whole runs go to their end and can be
compared with those of a CPU. It cannot show missing or slow kernels, memory, layouts that CUDA's kernels choose, cuDNN or NCCL.
"""

from __future__ import annotations

import atexit
import collections
import concurrent.futures
import contextlib
import ctypes
import functools
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_unflatten

from helpers import phantom_graphs

CUDA, CPU = torch.device("cuda:0"), torch.device("cpu")
aten = torch.ops.aten

INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default,
           aten._unsafe_index.Tensor, aten._unsafe_index_put.default}  # fmt: skip
"""They take indices that lie on the CPU, and upload them."""
READS = {aten._local_scalar_dense.default: "item", aten.nonzero.default: "nonzero", aten.equal.default: "equal",
         aten.masked_select.default: "masked_select", aten.repeat_interleave.Tensor: "repeat_interleave",
         aten._linalg_check_errors.default: "linalg check", aten._unique2.default: "unique", aten.bincount.default: "bincount",
         aten.unique_consecutive.default: "unique", aten.linalg_eigh.default: "eigh", aten.multinomial.default: "multinomial",
         }  # fmt: skip
"""They answer the host, or make a tensor whose size it must know."""
COPIES = {aten._to_copy.default, aten.copy_.default}
NO_KERNEL = {aten.detach.default, aten.alias.default, aten.lift_fresh.default, aten.empty.memory_format, aten.empty_like.default,
             aten.new_empty.default, aten.empty_strided.default, aten.new_empty_strided.default, aten.is_same_size.default,
             aten._local_scalar_dense.default, aten._linalg_check_errors.default}  # fmt: skip


class DeviceMix(RuntimeError):
    """What CUDA says of an operation on tensors of two devices."""


class Wait(NamedTuple):
    """Something the host waits for.

    Attributes:
        kind: ``item``, ``nonzero`` and the like; ``download``; ``upload``, from memory that is not pinned.
        place: ``file:line function`` of the package.
    """

    kind: str
    place: str


class Phantom(torch.Tensor):
    """A tensor that says it lies on ``cuda:0``; its numbers are in ``held``, on the CPU."""

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
    """Computes for phantoms and notes what the host of a GPU would have waited for.

    Args:
        placed: count kernels by line too, which is slow.

    Attributes:
        waits: in their order.
        kernels: how often each operation was started.
        places: the same by (operation, place), where ``placed``.
        doubles: where float64 came to lie on the GPU: CUDA has it, Apple's GPUs do not.
    """

    now: Watch | None = None

    def __init__(self, placed: bool = False) -> None:
        super().__init__()
        self.placed = placed
        self._pinned: dict[int, Tensor] = {}  # by address; kept alive, so that no other tensor comes to lie there
        self.clear()

    def clear(self) -> None:
        """Forget what was noted."""
        self.waits: list[Wait] = []
        self.kernels: collections.Counter[str] = collections.Counter()
        self.places: collections.Counter[tuple[str, str]] = collections.Counter()
        self.doubles: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.compute(func, args, kwargs or {})

    def compute(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """One operation."""
        if func in (aten._pin_memory.default, aten.pin_memory.default):
            return self._pin(args[0])
        flat, tree = tree_flatten((args, kwargs))
        ghosts = [x for x in flat if isinstance(x, Phantom)]
        asked = next((x for x in flat if isinstance(x, torch.device)), None)
        if not ghosts and (asked is None or asked.type != "cuda"):
            return func(*args, **kwargs)
        if _is_composite(func):  # arrives whole in inference mode
            with self:
                return func.decompose(*args, **kwargs)
        if ghosts and func not in COPIES:
            self._check(func, flat, args)
        self._note(func, args, kwargs, asked)
        inner = [x.held if isinstance(x, Phantom) else CPU if isinstance(x, torch.device) else x for x in flat]
        inner_args, inner_kwargs = tree_unflatten(inner, tree)
        if "pin_memory" in inner_kwargs:
            inner_kwargs["pin_memory"] = False
        if func is aten._to_copy.default and asked is not None and (asked.type == "cpu" or not ghosts):
            inner_kwargs["non_blocking"] = False
            copied = _recorded(func, inner_args, inner_kwargs, _copied)
            if asked.type != "cpu" and copied.dtype == torch.float64:
                self.doubles.append(f"{func} at {place()}")
            return copied if asked.type == "cpu" else Phantom(copied)
        made = _recorded(func, inner_args, inner_kwargs, _run)
        if func is aten.copy_.default and not isinstance(args[0], Phantom):
            return args[0]
        # in inference mode a view of an ordinary tensor is an ordinary tensor
        ordinary = torch.is_inference_mode_enabled() and _is_view(func) and not args[0].is_inference()
        with torch.inference_mode(False) if ordinary else contextlib.nullcontext():
            wrapped = _wrap(made)
            if any(isinstance(x, Phantom) and x.dtype == torch.float64 for x in tree_flatten(wrapped)[0]):
                self.doubles.append(f"{func} at {place()}")
            return return_and_correct_aliasing(func, args, kwargs, wrapped) if _aliases(func) else wrapped

    def _pin(self, tensor: Tensor) -> Tensor:
        if isinstance(tensor, Phantom):
            raise RuntimeError(f"cannot pin '{tensor.dtype}' only dense CPU tensors can be pinned")
        pinned = tensor.clone(memory_format=torch.preserve_format)
        self._pinned[pinned.untyped_storage().data_ptr()] = pinned
        return pinned

    def _is_pinned(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self._pinned

    @staticmethod
    def _check(func: Any, flat: list[Any], args: Any) -> None:
        """CUDA's rule: beside tensors on the GPU, only scalars (and indices) may be on the CPU."""
        own = [x for x in flat if isinstance(x, Tensor) and not isinstance(x, Phantom)]
        strict = func in (aten.cat.default, aten.stack.default)
        strangers = [x for x in own if x.dim() > 0 or strict]
        if func in INDEXED and isinstance(args[0], Phantom):
            indices = [x for x in args[1] if x is not None and not isinstance(x, Phantom)]
            strangers = [x for x in strangers if not any(x is i for i in indices)]
        if strangers:
            message = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
            raise DeviceMix(f"{message} ({func}) at {place()}")

    def _note(self, func: Any, args: Any, kwargs: Any, asked: torch.device | None) -> None:
        kind = READS.get(func) or self._copied(func, args, kwargs, asked)
        if func in INDEXED and isinstance(args[0], Phantom):
            indices = [i for i in args[1] if isinstance(i, Tensor)]
            if any(i.dtype in (torch.bool, torch.uint8) for i in indices):
                kind = "nonzero"
            elif any(not isinstance(i, Phantom) for i in indices):
                kind = "upload"
        if kind is not None and phantom_graphs.now is not None:
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({kind} at {place()})")
        if kind is not None:
            self.waits.append(Wait(kind, place()))
        if func not in NO_KERNEL and not _is_view(func):
            self.kernels[str(func)] += 1
            if self.placed:
                self.places[str(func), place()] += 1

    def _copied(self, func: Any, args: Any, kwargs: Any, asked: torch.device | None) -> str | None:
        """Whether a copy between the devices keeps the host waiting."""
        if func is aten._to_copy.default and asked is not None:
            source, to_gpu = args[0], asked.type == "cuda"
            asynchronous = kwargs.get("non_blocking", False)
            target = None
        elif func is aten.copy_.default:
            target, source = args[:2]
            to_gpu = isinstance(target, Phantom)
            asynchronous = args[2] if len(args) > 2 else kwargs.get("non_blocking", False)
        else:
            return None
        if to_gpu == isinstance(source, Phantom):
            return None
        if to_gpu:
            return None if asynchronous and self._is_pinned(source) else "upload"
        return None if asynchronous and target is not None and self._is_pinned(target) else "download"


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The CPU's kernel for an operation; cuDNN's batch norm has another signature."""
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


def _copied(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    return func(*args, **kwargs).clone(memory_format=torch.preserve_format)


def _recorded(func: Any, args: Any, kwargs: dict[str, Any], compute: Callable[..., Any]) -> Any:
    """Compute, and note it where a graph is being recorded."""
    graph = phantom_graphs.now
    return compute(func, args, kwargs) if graph is None else graph.run(func, args, kwargs, compute)


def _wrap(made: Any) -> Any:
    flat, tree = tree_flatten(made)
    return tree_unflatten([Phantom(x) if type(x) is Tensor else x for x in flat], tree)


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


def place() -> str:
    """``file:line function`` of the innermost line of the package that is running."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if "/gansmith/" in name:
            return f"{name.split('/gansmith/')[-1]}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return "a backward pass" if threading.current_thread() is not threading.main_thread() else "outside"


# --- making torch believe in it -----------------------------------------------------------------------------------


@functools.cache
def let_autograd_run() -> None:
    """A CUDA build of torch without a GPU asks the driver before a backward pass on cuda: answer in its place.

    ``CUDAHooks::hasPrimaryContext`` raises there. Its entry in the object's table of virtual functions, the fifth of
    ATen/detail/AcceleratorHooksInterface.h in torch 2.6 to 2.14, is replaced by one that says no. Called when this module is
    imported: autograd counts the GPUs at a process's first backward pass, and waits for ever for one it did not see.
    """
    if torch.cuda.is_available():  # a real one answers for itself
        return
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


def _answers(capability: tuple[int, int], bf16: bool) -> dict[str, Callable[..., Any]]:
    """What torch.cuda says of one GPU."""
    return {
        "is_available": lambda: True, "is_initialized": lambda: True, "_lazy_init": lambda: None, "init": lambda: None,
        "device_count": lambda: 1, "current_device": lambda: 0, "set_device": lambda device: None,
        "get_device_capability": lambda device=None: capability, "get_device_name": lambda device=None: "Phantom",
        "is_bf16_supported": lambda including_emulation=True: bf16 or including_emulation,
        "synchronize": lambda device=None: None, "manual_seed_all": lambda seed: None, "manual_seed": lambda seed: None,
        "get_rng_state": lambda device=None: torch.get_rng_state(), "set_rng_state": lambda state, device=None: None,
        "mem_get_info": lambda device=None: (1 << 34, 1 << 34), "memory_allocated": lambda device=None: 0,
        "CUDAGraph": phantom_graphs.PhantomGraph, "graph": phantom_graphs.graph, "graph_pool_handle": lambda: (0, 0),
        "max_memory_allocated": lambda device=None: 0, "reset_peak_memory_stats": lambda device=None: None,
    }  # fmt: skip


def _pool_of(watch: Watch) -> type[concurrent.futures.ThreadPoolExecutor]:
    """Threads that see the GPU too: modes are a thread's own."""

    class Pool(concurrent.futures.ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            def inside() -> Any:
                torch._C._set_only_lift_cpu_tensors(True)
                with watch:
                    return fn(*args, **kwargs)

            return super().submit(inside)

    return Pool


@contextlib.contextmanager
def phantom_cuda(*, placed: bool = False, capability: tuple[int, int] = (8, 0), bf16: bool = True) -> Iterator[Watch]:
    """Inside, there is one GPU, for threads that the package starts too.

    Args:
        placed: note the line of every kernel.
        capability, bf16: what the GPU says of itself.
    """
    watch = Watch(placed)
    before = torch._C._only_lift_cpu_tensors(), torch.__future__.get_overwrite_module_params_on_conversion()
    outer, Watch.now = Watch.now, watch
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device="cuda") makes it on the CPU and uploads it
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with contextlib.ExitStack() as stack:
            for name, answer in _answers(capability, bf16).items():
                stack.enter_context(mock.patch.object(torch.cuda, name, answer))
            pool = _pool_of(watch)
            for module in [m for n, m in list(sys.modules.items()) if n.startswith("gansmith.")]:
                if getattr(module, "ThreadPoolExecutor", None) is concurrent.futures.ThreadPoolExecutor:
                    stack.enter_context(mock.patch.object(module, "ThreadPoolExecutor", pool))
            stack.enter_context(watch)
            yield watch
    finally:
        torch._C._set_only_lift_cpu_tensors(before[0])
        torch.__future__.set_overwrite_module_params_on_conversion(before[1])
        Watch.now = outer
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
