use super::Machine;

/// System call numbers from the kernel's `syscall_64.tbl` and `asm-generic/unistd.h`:
/// name, x86_64, aarch64 (`None` where the family never had the call).
const NUMBERS: &[(&str, Option<u32>, Option<u32>)] = &[
    ("accept", Some(43), Some(202)),
    ("accept4", Some(288), Some(242)),
    ("acct", Some(163), Some(89)),
    ("add_key", Some(248), Some(217)),
    ("adjtimex", Some(159), Some(171)),
    ("bind", Some(49), Some(200)),
    ("bpf", Some(321), Some(280)),
    ("chroot", Some(161), Some(51)),
    ("clock_adjtime", Some(305), Some(266)),
    ("clock_settime", Some(227), Some(112)),
    ("clone", Some(56), Some(220)),
    ("clone3", Some(435), Some(435)),
    ("connect", Some(42), Some(203)),
    ("delete_module", Some(176), Some(106)),
    ("execve", Some(59), Some(221)),
    ("execveat", Some(322), Some(281)),
    ("fanotify_init", Some(300), Some(262)),
    ("finit_module", Some(313), Some(273)),
    ("fsconfig", Some(431), Some(431)),
    ("fsmount", Some(432), Some(432)),
    ("fsopen", Some(430), Some(430)),
    ("fspick", Some(433), Some(433)),
    ("getpeername", Some(52), Some(205)),
    ("getsockname", Some(51), Some(204)),
    ("getsockopt", Some(55), Some(209)),
    ("init_module", Some(175), Some(105)),
    ("io_uring_enter", Some(426), Some(426)),
    ("io_uring_register", Some(427), Some(427)),
    ("io_uring_setup", Some(425), Some(425)),
    ("ioctl", Some(16), Some(29)),
    ("ioperm", Some(173), None),
    ("iopl", Some(172), None),
    ("kcmp", Some(312), Some(272)),
    ("kexec_file_load", Some(320), Some(294)),
    ("kexec_load", Some(246), Some(104)),
    ("keyctl", Some(250), Some(219)),
    ("listen", Some(50), Some(201)),
    ("mknod", Some(133), None),
    ("mknodat", Some(259), Some(33)),
    ("modify_ldt", Some(154), None),
    ("mount", Some(165), Some(40)),
    ("mount_setattr", Some(442), Some(442)),
    ("move_mount", Some(429), Some(429)),
    ("name_to_handle_at", Some(303), Some(264)),
    ("open_by_handle_at", Some(304), Some(265)),
    ("open_tree", Some(428), Some(428)),
    ("open_tree_attr", Some(467), Some(467)),
    ("perf_event_open", Some(298), Some(241)),
    ("pidfd_getfd", Some(438), Some(438)),
    ("pivot_root", Some(155), Some(41)),
    ("process_madvise", Some(440), Some(440)),
    ("process_vm_readv", Some(310), Some(270)),
    ("process_vm_writev", Some(311), Some(271)),
    ("ptrace", Some(101), Some(117)),
    ("quotactl", Some(179), Some(60)),
    ("quotactl_fd", Some(443), Some(443)),
    ("reboot", Some(169), Some(142)),
    ("recvfrom", Some(45), Some(207)),
    ("recvmmsg", Some(299), Some(243)),
    ("recvmsg", Some(47), Some(212)),
    ("request_key", Some(249), Some(218)),
    ("sendmmsg", Some(307), Some(269)),
    ("sendmsg", Some(46), Some(211)),
    ("sendto", Some(44), Some(206)),
    ("setdomainname", Some(171), Some(162)),
    ("sethostname", Some(170), Some(161)),
    ("setns", Some(308), Some(268)),
    ("setsockopt", Some(54), Some(208)),
    ("settimeofday", Some(164), Some(170)),
    ("shutdown", Some(48), Some(210)),
    ("socket", Some(41), Some(198)),
    ("socketpair", Some(53), Some(199)),
    ("swapoff", Some(168), Some(225)),
    ("swapon", Some(167), Some(224)),
    ("syslog", Some(103), Some(116)),
    ("umount2", Some(166), Some(39)),
    ("unshare", Some(272), Some(97)),
    ("uselib", Some(134), None),
    ("userfaultfd", Some(323), Some(282)),
    ("vhangup", Some(153), Some(58)),
];

/// The number of a call on a machine; `None` if that machine lacks it.
pub(crate) fn number_of(machine: Machine, name: &str) -> Option<u32> {
    let (_, x86_64, aarch64) = NUMBERS.iter().find(|(known, ..)| *known == name)?;
    match machine {
        Machine::X86_64 => *x86_64,
        Machine::Aarch64 => *aarch64,
    }
}

#[cfg(test)]
mod tests {
    use super::{Machine, NUMBERS, number_of};

    #[test]
    fn no_number_is_used_twice() {
        for machine in [Machine::X86_64, Machine::Aarch64] {
            let mut seen: Vec<_> = NUMBERS.iter().filter_map(|(name, ..)| number_of(machine, name)).collect();
            seen.sort_unstable();
            let count = seen.len();
            seen.dedup();
            assert_eq!(seen.len(), count, "{machine:?}");
        }
    }

    /// Compares with the C library's table of the machine that runs this test.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_numbers_are_those_of_the_c_library() {
        macro_rules! compare {
            ($($name:ident = $number:ident),* $(,)?) => {$(
                assert_eq!(
                    Machine::native().and_then(|machine| number_of(machine, stringify!($name))),
                    u32::try_from(libc::$number).ok(),
                    stringify!($name),
                );
            )*};
        }
        compare!(
            accept = SYS_accept,
            accept4 = SYS_accept4,
            acct = SYS_acct,
            add_key = SYS_add_key,
            adjtimex = SYS_adjtimex,
            bind = SYS_bind,
            bpf = SYS_bpf,
            chroot = SYS_chroot,
            clock_adjtime = SYS_clock_adjtime,
            clock_settime = SYS_clock_settime,
            clone = SYS_clone,
            clone3 = SYS_clone3,
            connect = SYS_connect,
            delete_module = SYS_delete_module,
            execve = SYS_execve,
            execveat = SYS_execveat,
            fanotify_init = SYS_fanotify_init,
            finit_module = SYS_finit_module,
            fsconfig = SYS_fsconfig,
            fsmount = SYS_fsmount,
            fsopen = SYS_fsopen,
            fspick = SYS_fspick,
            getpeername = SYS_getpeername,
            getsockname = SYS_getsockname,
            getsockopt = SYS_getsockopt,
            init_module = SYS_init_module,
            io_uring_enter = SYS_io_uring_enter,
            io_uring_register = SYS_io_uring_register,
            io_uring_setup = SYS_io_uring_setup,
            ioctl = SYS_ioctl,
            kcmp = SYS_kcmp,
            kexec_file_load = SYS_kexec_file_load,
            kexec_load = SYS_kexec_load,
            keyctl = SYS_keyctl,
            listen = SYS_listen,
            mknodat = SYS_mknodat,
            mount = SYS_mount,
            mount_setattr = SYS_mount_setattr,
            move_mount = SYS_move_mount,
            name_to_handle_at = SYS_name_to_handle_at,
            open_by_handle_at = SYS_open_by_handle_at,
            open_tree = SYS_open_tree,
            perf_event_open = SYS_perf_event_open,
            pidfd_getfd = SYS_pidfd_getfd,
            pivot_root = SYS_pivot_root,
            process_madvise = SYS_process_madvise,
            process_vm_readv = SYS_process_vm_readv,
            process_vm_writev = SYS_process_vm_writev,
            ptrace = SYS_ptrace,
            quotactl = SYS_quotactl,
            quotactl_fd = SYS_quotactl_fd,
            reboot = SYS_reboot,
            recvfrom = SYS_recvfrom,
            recvmmsg = SYS_recvmmsg,
            recvmsg = SYS_recvmsg,
            request_key = SYS_request_key,
            sendmmsg = SYS_sendmmsg,
            sendmsg = SYS_sendmsg,
            sendto = SYS_sendto,
            setdomainname = SYS_setdomainname,
            sethostname = SYS_sethostname,
            setns = SYS_setns,
            setsockopt = SYS_setsockopt,
            settimeofday = SYS_settimeofday,
            shutdown = SYS_shutdown,
            socket = SYS_socket,
            socketpair = SYS_socketpair,
            swapoff = SYS_swapoff,
            swapon = SYS_swapon,
            syslog = SYS_syslog,
            umount2 = SYS_umount2,
            unshare = SYS_unshare,
            userfaultfd = SYS_userfaultfd,
            vhangup = SYS_vhangup,
        );
    }
}
