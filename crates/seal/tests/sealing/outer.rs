//! Filters laid over a child before it seals itself: containers and old kernels, simulated, and
//! the filters that one would write without knowing the holes.
#![expect(unsafe_code, reason = "filters are handed to the kernel")]

const EPERM: u32 = 1;
const EINVAL: u32 = 22;
const ENOSYS: u32 = 38;

fn plain(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap()
}

/// Lays a filter over this process that lets these calls fail with these errors.
fn fail(calls: &[(libc::c_long, u32)]) {
    let mut code = vec![plain(0x20, 0)];
    for (call, error) in calls {
        code.push(libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: number(*call) });
        code.push(plain(0x06, 0x0005_0000 | error));
    }
    code.push(plain(0x06, 0x7fff_0000));
    load(&mut code);
}

/// Lets `prctl(PR_SET_SECCOMP)` and `seccomp` fail, as on a kernel without filters.
fn no_filters() {
    let mut code = vec![
        plain(0x20, 0),
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: number(libc::SYS_seccomp) },
        plain(0x06, 0x0005_0000 | ENOSYS),
        libc::sock_filter { code: 0x15, jt: 0, jf: 3, k: number(libc::SYS_prctl) },
        plain(0x20, 16),
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: 22 },
        plain(0x06, 0x0005_0000 | EINVAL),
        plain(0x06, 0x7fff_0000),
    ];
    load(&mut code);
}

/// Lets `unshare` fail wherever a user namespace is asked for, as sysctls do.
fn no_user_namespaces() {
    let new_user = u32::try_from(libc::CLONE_NEWUSER).unwrap();
    let mut code = vec![
        plain(0x20, 0),
        libc::sock_filter { code: 0x15, jt: 0, jf: 3, k: number(libc::SYS_unshare) },
        plain(0x20, 16),
        libc::sock_filter { code: 0x45, jt: 0, jf: 1, k: new_user },
        plain(0x06, 0x0005_0000 | EPERM),
        plain(0x06, 0x7fff_0000),
    ];
    load(&mut code);
}

/// Forbids writing to `/proc`, so that a user namespace can be made but not mapped.
fn no_mapping() {
    // SAFETY: the structures have the kernel's layout and outlive the calls.
    unsafe {
        // Writing to files, and moving them, which is refused unless it is named.
        let rights = 1_u64 << 1 | 1 << 13;
        let ruleset = libc::syscall(libc::SYS_landlock_create_ruleset, &raw const rights, 8, 0);
        assert!(ruleset >= 0, "{}", std::io::Error::last_os_error());
        let rooms = std::ffi::CString::new(std::env::temp_dir().into_os_string().into_encoded_bytes());
        for path in [rooms.unwrap().as_c_str(), c"/dev"] {
            let mut rule = [0_u8; 12];
            let folder = libc::open(path.as_ptr(), libc::O_PATH);
            rule[..8].copy_from_slice(&rights.to_ne_bytes());
            rule[8..].copy_from_slice(&folder.to_ne_bytes());
            let added = libc::syscall(libc::SYS_landlock_add_rule, ruleset, 1, rule.as_ptr(), 0);
            assert_eq!(added, 0, "{}", std::io::Error::last_os_error());
        }
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0), 0);
    }
}

/// Moves this process into an empty network, as `unshare -rn` does.
fn empty_network() {
    // SAFETY: plain numbers.
    let user = unsafe { libc::geteuid() };
    // SAFETY: as above.
    let result = unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    let mut map = fs_err::OpenOptions::new().write(true).open("/proc/self/uid_map").unwrap();
    // Refused to a root without rights, who then goes on without a mapping.
    let _ = std::io::Write::write_all(&mut map, format!("0 {user} 1").as_bytes());
}

/// A kernel or supervisor that claims success and does nothing.
fn lying(calls: &[libc::c_long]) {
    let calls: Vec<_> = calls.iter().map(|call| (*call, 0)).collect();
    fail(&calls);
}

fn load(code: &mut [libc::sock_filter]) {
    let header = libc::sock_fprog { len: u16::try_from(code.len()).unwrap(), filter: code.as_mut_ptr() };
    // SAFETY: the header and the instructions outlive the calls.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let result = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const header);
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }
}

/// Simulates the named surroundings.
pub(crate) fn surround(name: &str) {
    match name {
        "none" => {}
        "no user namespaces" => no_user_namespaces(),
        "no mapping" => no_mapping(),
        "empty network" => empty_network(),
        "container" => fail(&[(libc::SYS_unshare, EPERM)]),
        "no landlock" => fail(&[
            (libc::SYS_landlock_create_ruleset, ENOSYS),
            (libc::SYS_landlock_add_rule, ENOSYS),
            (libc::SYS_landlock_restrict_self, ENOSYS),
        ]),
        "old seccomp" => fail(&[(libc::SYS_seccomp, ENOSYS)]),
        "no seccomp" => no_filters(),
        "no seccomp, no landlock" => {
            fail(&[(libc::SYS_landlock_create_ruleset, ENOSYS)]);
            no_filters();
        }
        "no close_range" => fail(&[(libc::SYS_close_range, ENOSYS)]),
        "lying unshare" => lying(&[libc::SYS_unshare]),
        "lying seccomp" => lying(&[libc::SYS_seccomp]),
        "lying landlock" => lying(&[libc::SYS_landlock_restrict_self]),
        // The two holes that were measured, one at a time.
        "naive, io_uring closed" => fail(&[
            (libc::SYS_socket, EPERM),
            (libc::SYS_connect, EPERM),
            (libc::SYS_bind, EPERM),
            (libc::SYS_listen, EPERM),
            (libc::SYS_io_uring_setup, EPERM),
        ]),
        "naive, sending closed" => fail(&[
            (libc::SYS_socket, EPERM),
            (libc::SYS_connect, EPERM),
            (libc::SYS_bind, EPERM),
            (libc::SYS_listen, EPERM),
            (libc::SYS_sendmsg, EPERM),
            (libc::SYS_sendto, EPERM),
        ]),
        other => panic!("unknown surroundings `{other}`"),
    }
}
