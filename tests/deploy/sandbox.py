"""Runs a command under the system call filter and the W^X rule of a systemd unit, without systemd being the manager.

    python sandbox.py ALLOWED[,ALLOWED…] COMMAND…

systemd loads one filter for ``MemoryDenyWriteExecute=`` and one for ``SystemCallFilter=``; the same two are loaded here,
by libseccomp, which systemd itself uses.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EPERM
MASKED_EQUAL = 7
WRITE, EXECUTE = 2, 4


class _Comparison(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("mask", ctypes.c_uint64), ("value", ctypes.c_uint64))


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Comparison)
    )  # fmt: skip
    library.seccomp_load.argtypes = (ctypes.c_void_p,)
    return library


def refuse_write_and_execute(library: ctypes.CDLL) -> None:
    context = library.seccomp_init(ALLOW)
    both = WRITE | EXECUTE
    for name, bits in ((b"mmap", both), (b"mprotect", EXECUTE), (b"pkey_mprotect", EXECUTE)):
        number = library.seccomp_syscall_resolve_name(name)
        rule = _Comparison(2, MASKED_EQUAL, bits, bits)
        assert library.seccomp_rule_add_array(context, REFUSE, number, 1, ctypes.byref(rule)) == 0, name
    assert library.seccomp_load(context) == 0


def allow_only(library: ctypes.CDLL, names: list[str]) -> None:
    context = library.seccomp_init(REFUSE)
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # others are not of this architecture
            assert library.seccomp_rule_add_array(context, ALLOW, number, 0, None) == 0, name
    assert library.seccomp_load(context) == 0


if __name__ == "__main__":
    loaded = _library()
    refuse_write_and_execute(loaded)
    allow_only(loaded, sys.argv[1].split(","))
    os.execvp(sys.argv[2], sys.argv[2:])
