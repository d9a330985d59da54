# The profile of every tool, if AppArmor is active. Other walls come first (docs/SECURITY.md); this one still stands if a
# hole in the kernel has given a tool capabilities.
profile mayfly-tool-1 flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,

  deny mount,
  deny remount,
  deny umount,
  deny pivot_root,

  # Signals and traces only among tools and from Mayfly.
  signal (send, receive) peer=mayfly-tool-1,
  signal (receive) peer=unconfined,
  ptrace (trace, read, tracedby, readby) peer=mayfly-tool-1,
  ptrace (readby) peer=unconfined,

  deny /proc/sys/** wklx,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,
  deny /sys/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
