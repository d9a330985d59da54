# What every tool of Mayfly's runs under where AppArmor is active. Its first walls are others (docs/SECURITY.md); this one
# stands when a hole in the kernel has given a tool capabilities.
profile mayfly-tool-1 flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,

  deny mount,
  deny remount,
  deny umount,
  deny pivot_root,

  # Each other and what Mayfly sends; nothing else.
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
