# SPDX-License-Identifier: GPL-2.0-only
"""enter_root.py ROOT COMMAND...: makes ROOT the root of this mount namespace, as container engines
do, and runs the command there. Run it in a mount namespace of its own (unshare -m)."""

import ctypes
import os
import platform
import sys

MS_BIND, MS_REC, MNT_DETACH = 4096, 16384, 2
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}[platform.machine()]
libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        sys.exit(f"enter_root.py: {what}: {os.strerror(ctypes.get_errno())}")


root = os.fsencode(sys.argv[1])
check(libc.mount(root, root, None, MS_BIND | MS_REC, None), "mount")
os.chdir(root)
check(libc.syscall(PIVOT_ROOT, b".", b"."), "pivot_root")
check(libc.umount2(b".", MNT_DETACH), "umount2")
os.chdir("/")
os.execv(sys.argv[2], sys.argv[2:])
