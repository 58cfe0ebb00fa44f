use super::Machine;
use super::assembler::{
    Answer, Instruction, JUMP_AT_LEAST, JUMP_EQUAL, JUMP_GREATER, LOAD, MACHINE_OFFSET, NUMBER_OFFSET, RETURN, Test,
    jump, plain, rule,
};
use super::numbers::number_of;
use sha2::{Digest, Sha256};
use std::fmt;

/// Which calls a filter leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// No socket of any kind: the self-test child.
    NoSockets,
    /// Accept, receive and answer on a listener that exists already: the server.
    ServeOnly,
}

/// `AF_UNIX`: a pair of such sockets stays inside the process.
const UNIX_FAMILY: u32 = 1;
/// `MSG_FASTOPEN`: connects and sends in one call.
const FAST_OPEN: u32 = 0x2000_0000;
/// `CLONE_NEW*` as far as `clone` takes them (linux/sched.h); `CLONE_NEWTIME` is for `unshare`.
const NEW_NAMESPACES: u32 = 0x7E02_0000;
const SOCKET_LEVEL: u32 = 1;
const TCP_LEVEL: u32 = 6;
const TCP_NO_DELAY: u32 = 1;
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541C;
const TUNSETIFF: u32 = 0x4004_54CA;

/// Ways to open, reach or pass on a socket, closed under both policies.
const CONNECTING: &[&str] = &[
    "socket",
    "connect",
    "bind",
    "listen",
    "sendmsg",
    "sendmmsg",
    "recvmsg",
    "recvmmsg",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
];

/// What is left of the socket calls, closed only under [`Policy::NoSockets`].
const SERVING: &[&str] = &[
    "socketpair",
    "accept",
    "accept4",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "getsockname",
    "getpeername",
];

/// Ways to act through another program, another process or the kernel itself.
const AROUND: &[&str] = &[
    "execve",
    "execveat",
    "uselib",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_getfd",
    "kcmp",
    "setns",
    "unshare",
    "chroot",
    "pivot_root",
    "mount",
    "umount2",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "open_by_handle_at",
    "name_to_handle_at",
    "mknod",
    "mknodat",
    "fanotify_init",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "quotactl_fd",
    "syslog",
    "vhangup",
    "iopl",
    "ioperm",
    "modify_ldt",
    "sethostname",
    "setdomainname",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "clock_adjtime",
];

/// A filter for one machine: instructions, and for each block a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    instructions: Vec<Instruction>,
    /// First instruction of a block, and what the block does.
    names: Vec<(usize, String)>,
}

impl Policy {
    /// The filter for a machine.
    #[must_use]
    pub fn program(self, machine: Machine) -> Program {
        let mut program = Program { instructions: Vec::new(), names: Vec::new() };
        program.open(machine);
        program.refuse_all(machine, CONNECTING);
        match self {
            Self::NoSockets => program.refuse_all(machine, SERVING),
            Self::ServeOnly => program.serve_only(machine),
        }
        program.refuse_all(machine, AROUND);
        program.refuse_processes_and_devices(machine);
        program.block("everything else: allow", vec![plain(RETURN, Answer::Allow.value())]);
        program
    }
}

impl Program {
    fn block(&mut self, name: impl Into<String>, instructions: Vec<Instruction>) {
        self.names.push((self.instructions.len(), name.into()));
        self.instructions.extend(instructions);
    }

    /// A rule for one call; nothing where the machine lacks the call.
    fn rule(&mut self, machine: Machine, call: &str, why: &str, tests: &[Test], answer: Answer) {
        if let Some(number) = number_of(machine, call) {
            let verb = match answer {
                Answer::Allow => "allow",
                Answer::Refuse => "refuse",
                Answer::Absent => "absent",
                Answer::Kill => "kill",
            };
            let name = format!("{call}{}{why}: {verb}", if why.is_empty() { "" } else { " " });
            self.block(name, rule(number, tests, answer));
        }
    }

    fn refuse_all(&mut self, machine: Machine, calls: &[&str]) {
        for call in calls {
            self.rule(machine, call, "", &[], Answer::Refuse);
        }
    }

    /// Foreign machines, the x32 door and numbers nobody knows.
    fn open(&mut self, machine: Machine) {
        self.block(
            "calls of another machine (such as `int 0x80`): kill",
            vec![
                plain(LOAD, MACHINE_OFFSET),
                jump(JUMP_EQUAL, machine.audit_value(), 1, 0),
                plain(RETURN, Answer::Kill.value()),
                plain(LOAD, NUMBER_OFFSET),
            ],
        );
        if let Some(start) = machine.x32_start() {
            self.block(
                "x32 numbers: refuse",
                vec![jump(JUMP_AT_LEAST, start, 0, 1), plain(RETURN, Answer::Refuse.value())],
            );
        }
        for (first, last) in machine.unknown_numbers() {
            self.block(
                format!("unknown numbers {first} to {last}: absent"),
                vec![
                    jump(JUMP_AT_LEAST, *first, 0, 2),
                    jump(JUMP_GREATER, *last, 1, 0),
                    plain(RETURN, Answer::Absent.value()),
                ],
            );
        }
    }

    fn serve_only(&mut self, machine: Machine) {
        let private = [Test::Differs { argument: 0, value: UNIX_FAMILY }];
        self.rule(machine, "socketpair", "not AF_UNIX", &private, Answer::Refuse);
        let destination = [Test::NotNull { argument: 4 }];
        self.rule(machine, "sendto", "with a destination", &destination, Answer::Refuse);
        let fast_open = [Test::AnyBit { argument: 3, mask: FAST_OPEN }];
        self.rule(machine, "sendto", "with MSG_FASTOPEN", &fast_open, Answer::Refuse);
        // Time-outs and the like; TCP_REPAIR, TCP_ULP and TCP_FASTOPEN_CONNECT stay closed.
        let generic = [Test::Equals { argument: 1, value: SOCKET_LEVEL }];
        self.rule(machine, "setsockopt", "SOL_SOCKET", &generic, Answer::Allow);
        let no_delay =
            [Test::Equals { argument: 1, value: TCP_LEVEL }, Test::Equals { argument: 2, value: TCP_NO_DELAY }];
        self.rule(machine, "setsockopt", "TCP_NODELAY", &no_delay, Answer::Allow);
        self.rule(machine, "setsockopt", "", &[], Answer::Refuse);
    }

    fn refuse_processes_and_devices(&mut self, machine: Machine) {
        // The flags of clone3 lie in memory, where a filter cannot look; the C library then
        // takes clone, whose flags are an argument.
        self.rule(machine, "clone3", "", &[], Answer::Absent);
        let namespaces = [Test::AnyBit { argument: 0, mask: NEW_NAMESPACES }];
        self.rule(machine, "clone", "with new namespaces", &namespaces, Answer::Refuse);
        // Interface and route settings (SIOC*), also of wireless cards, on any open socket.
        for value in [0x8900, 0x8B00] {
            let settings = [Test::Masked { argument: 1, mask: 0xFF00, value }];
            self.rule(machine, "ioctl", "network settings", &settings, Answer::Refuse);
        }
        // Typing into the terminal would let the shell that started us do the talking.
        for (request, why) in [(TIOCSTI, "TIOCSTI"), (TIOCLINUX, "TIOCLINUX"), (TUNSETIFF, "TUNSETIFF")] {
            let tests = [Test::Equals { argument: 1, value: request }];
            self.rule(machine, "ioctl", why, &tests, Answer::Refuse);
        }
    }

    #[cfg(any(test, target_os = "linux"))]
    pub(crate) fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The instructions as the kernel gets them, little-endian, 8 bytes each.
    #[must_use]
    pub fn filter_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.instructions.len() * 8);
        for one in &self.instructions {
            bytes.extend(one.code.to_le_bytes());
            bytes.extend([one.jump_true, one.jump_false]);
            bytes.extend(one.operand.to_le_bytes());
        }
        bytes
    }

    /// SHA-256 of [`Program::filter_bytes`] in lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        let digest = Sha256::digest(self.filter_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Number of instructions.
    #[must_use]
    pub fn length(&self) -> usize {
        self.instructions.len()
    }
}

/// One line per block, then its instructions: what an auditor reads.
impl fmt::Display for Program {
    fn fmt(&self, output: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.names.iter().peekable();
        for (position, one) in self.instructions.iter().enumerate() {
            while let Some((_, name)) = names.next_if(|(first, _)| *first == position) {
                writeln!(output, "; {name}")?;
            }
            writeln!(
                output,
                "{position:4}  {:#06x} {:3} {:3} {:#010x}",
                one.code, one.jump_true, one.jump_false, one.operand
            )?;
        }
        Ok(())
    }
}
