"""The disk quota of a principal (`limits.disk`): how its parts work together.

Why not a quota of the file system: project quotas need root and a file system that has them. The gateway has neither,
but it starts every gocryptfs that writes to a vault, so it can supervise that process's system calls.

1. The warden starts `supervisor.py DIRECTORY BYTES LEDGER gocryptfs ...` in place of gocryptfs (gateway.warden.view).
2. `supervisor` forks a second process and installs a seccomp filter on itself (`notify_filter`). It passes the filter's
   listener descriptor to the second process, and then becomes gocryptfs by execv(2), which keeps the filter.
3. The filter lets all system calls pass except those that can take new blocks (fallocate, and the calls that create
   files or attributes) and statfs. These wait in the kernel until the supervisor answers (seccomp_unotify(2)).
   gocryptfs calls fallocate before it writes to new blocks. So read and write themselves are never stopped.
4. For fallocate, the supervisor asks the file system which blocks of the range exist already (`fiemap`); only the
   missing ones count. A call that creates something counts one block, so a quota also limits the number of files.
5. It reserves these bytes in the principal's `ledger`: one file in the run directory with a total, which the
   supervisors of all the principal's views lock and share. Within the quota, the answer is "continue"; beyond it, the
   call fails with ENOSPC, as on a full disk.
6. Nothing tells the supervisor about deleted files or failed reservations. So it counts the disk again (`usage`) from
   time to time, and whenever the quota seems to be used up; the count replaces the total in the ledger.
7. For statfs, which `df` causes, it writes a reply with the quota as the size into gocryptfs's memory (`statfs`).
   gocryptfs permits that by prctl(PR_SET_PTRACER). While no count is known yet, the disk's own answer is used.

Failures: if the supervisor dies, the kernel fails the stopped calls with ENOSYS, and with them every write to new
blocks; nothing is written beyond the quota. If the ledger or a count fails, the answer is ENOSPC. The supervisor ends
when no process is left that has the filter. Limits: other writes to a vault are only seen by the next count, and file
systems that allocate late (btrfs, zfs) or report no extents (tmpfs) are counted less exactly; `doctor` warns there.
"""
