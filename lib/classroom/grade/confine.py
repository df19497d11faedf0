"""Shut the process that runs a student's code in: namespaces, folders, limits, capabilities, system calls.

Called inside the sandbox, between the fork and the first line of the student's. Each step says what it could not do.
Linux only.
"""

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
from collections.abc import Callable
from pathlib import Path

NEW_USER, NEW_PID, NEW_NET, NEW_IPC, NEW_UTS, NEW_MOUNT, NEW_CGROUP = (
    0x10000000,
    0x20000000,
    0x40000000,
    0x08000000,
    0x04000000,
    0x00020000,
    0x02000000,
)
NAMESPACES = NEW_USER | NEW_PID | NEW_NET | NEW_IPC | NEW_UTS | NEW_MOUNT
NOBODY = 65534
NOSUID_NODEV = 2 | 4
REMOUNT, BIND, READ_ONLY, RECURSIVE, PRIVATE = 32, 4096, 1, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 22, 24, 38

_libc = ctypes.CDLL(None, use_errno=True)


def _must(result: int, what: str) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int = NAMESPACES) -> None:
    """Leave the namespaces of the parent. Process ids count anew from the next fork on."""
    _must(_libc.unshare(flags), "unshare")


def map_user(pid: int | str, user: int, group: int) -> None:
    """Let `user` and `group`, seen from the parent's namespace, be nobody inside the namespace of process `pid`."""
    folder = Path("/proc") / str(pid)
    (folder / "setgroups").write_text("deny")
    (folder / "gid_map").write_text(f"{NOBODY} {group} 1")
    (folder / "uid_map").write_text(f"{NOBODY} {user} 1")


def become_nobody() -> None:
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def mount_own(place: str, megabytes: int, mode: str = "0700") -> None:
    """A folder in memory, of bounded size, that nobody else sees and that goes with the namespace."""
    options = f"size={megabytes}m,nr_inodes=8192,mode={mode},uid={NOBODY},gid={NOBODY}"
    _must(_libc.mount(b"tmpfs", place.encode(), b"tmpfs", NOSUID_NODEV, options.encode()), f"mount on {place}")


def cover_proc() -> None:
    """In the place of /proc, which shows the sandbox's other processes, what libraries read of the machine."""
    kept = {name: Path("/proc", name).read_bytes() for name in ("cpuinfo", "meminfo", "version", "filesystems")
            if Path("/proc", name).is_file()}  # fmt: skip
    mount_own("/proc", 1, "0755")
    for name, text in kept.items():
        Path("/proc", name).write_bytes(text)
    _must(_libc.mount(None, b"/proc", None, REMOUNT | BIND | READ_ONLY | NOSUID_NODEV, None), "make /proc read-only")


def limit(
    processor_seconds: int, data_megabytes: int, file_megabytes: int, processes: int, open_files: int = 512
) -> None:
    """What one process may use; `processes` bites wherever the process is not the machine's root."""
    mega = 1_000_000
    for what, most in {
        resource.RLIMIT_CPU: processor_seconds,
        resource.RLIMIT_DATA: data_megabytes * mega,
        resource.RLIMIT_FSIZE: file_megabytes * mega,
        resource.RLIMIT_NPROC: processes,
        resource.RLIMIT_NOFILE: open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }.items():
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that grew too large is an error, not the end


def drop_capabilities() -> None:
    """No power over the namespace, and no way to one by a program that has it."""
    for number in range(64):
        if _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == -1:
            break
    header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)
    _must(_libc.capset(header, nothing), "drop capabilities")
    _must(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


def die_with_parent() -> None:
    _must(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "die with the parent")


# By the names that the system gives them; x86-64 and arm64 number them differently.
REFUSED = {
    "x86_64": {
        "ptrace": 101, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "setns": 308, "unshare": 272,
        "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
        "process_vm_readv": 310, "process_vm_writev": 311, "kexec_load": 246, "init_module": 175, "finit_module": 313,
        "io_uring_setup": 425, "open_by_handle_at": 304, "name_to_handle_at": 303, "swapon": 167, "reboot": 169,
        "acct": 163, "memfd_create": 319, "shmget": 29, "open_tree": 428, "move_mount": 429, "fsopen": 430,
        "mount_setattr": 442, "pidfd_getfd": 438, "personality": 135, "quotactl": 179, "memfd_secret": 447,
        "msgget": 68, "semget": 64, "clone3": 435,
    },
    "aarch64": {
        "ptrace": 117, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "setns": 268, "unshare": 97,
        "keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
        "process_vm_readv": 270, "process_vm_writev": 271, "kexec_load": 104, "init_module": 105,
        "finit_module": 273, "io_uring_setup": 425, "open_by_handle_at": 265, "name_to_handle_at": 264,
        "swapon": 224, "reboot": 142, "acct": 89, "memfd_create": 279, "shmget": 194, "open_tree": 428,
        "move_mount": 429, "fsopen": 430, "mount_setattr": 442, "pidfd_getfd": 438, "personality": 92,
        "quotactl": 60, "memfd_secret": 447, "msgget": 186, "semget": 190, "clone3": 435,
    },
}  # fmt: skip
CLONE = {"x86_64": 56, "aarch64": 220}
MACHINE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SOCKET = {"x86_64": 41, "aarch64": 198}
FAMILIES = (1, 2, 10)  # unix, and the two of the internet, where there is no network to reach


def refuse_system_calls() -> None:
    """No system call that students have no use for, and attackers do: each of them fails with an error."""
    machine = platform.machine()
    if machine not in REFUSED:
        raise OSError(errno.ENOSYS, f"no list of system calls for {machine}")
    program = _filter(machine)
    filters = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(filters)
    whole = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    _must(_libc.prctl(PR_SET_SECCOMP, 2, whole, 0, 0), "refuse system calls")


def _filter(machine: str) -> list[tuple[int, int, int, int]]:
    """The program that the system runs before each call: (code, steps if true, steps if false, value)."""
    load, equal, at_least, both, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill = 0x7FFF0000, 0x80000000
    fails, unknown = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
    number, arch, first = 0, 4, 16
    steps = [(load, 0, 0, arch), (equal, 1, 0, MACHINE[machine]), (give, 0, 0, kill), (load, 0, 0, number)]
    if machine == "x86_64":  # the numbers of its older brother
        steps += [(at_least, 0, 1, 0x40000000), (give, 0, 0, fails)]
    for name, value in REFUSED[machine].items():
        steps += [(equal, 0, 1, value), (give, 0, 0, unknown if name in ("clone3", "memfd_create") else fails)]
    steps += [(equal, 0, 3, CLONE[machine]), (load, 0, 0, first), (both, 0, 1, NEW_USER), (give, 0, 0, fails)]
    steps += [(load, 0, 0, number), (equal, 0, 2 + len(FAMILIES), SOCKET[machine]), (load, 0, 0, first)]
    steps += [(equal, len(FAMILIES) - place, 0, family) for place, family in enumerate(FAMILIES)]
    steps += [(give, 0, 0, fails), (load, 0, 0, number)]
    return [*steps, (give, 0, 0, allow)]


def attempt(step: Callable[[], None]) -> str:
    """Do `step`; what went wrong, or nothing."""
    try:
        step()
    except (OSError, AttributeError, ValueError) as error:
        return str(error)
    return ""
