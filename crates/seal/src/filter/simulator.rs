//! Runs a filter on a made-up call, so that both machines' filters are tested on any machine.

use super::assembler::{AND, Answer, Instruction, JUMP_ANY_BIT, JUMP_AT_LEAST, JUMP_EQUAL, JUMP_GREATER, LOAD, RETURN};
use super::numbers::number_of;
use super::{Machine, Policy};

fn run(program: &[Instruction], machine: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = [0_u8; 64];
    data[0..4].copy_from_slice(&number.to_le_bytes());
    data[4..8].copy_from_slice(&machine.to_le_bytes());
    for (position, argument) in arguments.iter().enumerate() {
        data[16 + position * 8..][..8].copy_from_slice(&argument.to_le_bytes());
    }
    let mut accumulator = 0_u32;
    let mut position = 0_usize;
    loop {
        let one = program[position];
        position += 1;
        let holds = match one.code {
            LOAD => {
                let offset = one.operand as usize;
                accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
                continue;
            }
            AND => {
                accumulator &= one.operand;
                continue;
            }
            RETURN => return one.operand,
            JUMP_EQUAL => accumulator == one.operand,
            JUMP_GREATER => accumulator > one.operand,
            JUMP_AT_LEAST => accumulator >= one.operand,
            JUMP_ANY_BIT => accumulator & one.operand != 0,
            other => panic!("unknown instruction {other:#x}"),
        };
        position += usize::from(if holds { one.jump_true } else { one.jump_false });
    }
}

const BOTH: [Machine; 2] = [Machine::X86_64, Machine::Aarch64];

#[track_caller]
fn expect(policy: Policy, call: &str, arguments: [u64; 6], answer: Answer) {
    for machine in BOTH {
        if let Some(number) = number_of(machine, call) {
            let program = policy.program(machine);
            let found = run(program.instructions(), machine.audit_value(), number, arguments);
            assert_eq!(found, answer.value(), "{policy:?} {machine:?} {call} {arguments:x?}");
        }
    }
}

const NONE: [u64; 6] = [0; 6];

#[test]
fn every_way_to_open_a_connection_is_refused() {
    for policy in [Policy::NoSockets, Policy::ServeOnly] {
        for call in [
            "socket",
            "connect",
            "bind",
            "listen",
            "sendmsg",
            "sendmmsg",
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
            "execve",
            "execveat",
            "ptrace",
            "process_vm_writev",
            "pidfd_getfd",
            "setns",
            "unshare",
            "bpf",
            "mount",
            "keyctl",
            "request_key",
            "userfaultfd",
            "kexec_load",
            "open_by_handle_at",
            "mknod",
        ] {
            expect(policy, call, NONE, Answer::Refuse);
        }
        expect(policy, "clone3", NONE, Answer::Absent);
        for flag in [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000] {
            expect(policy, "clone", [flag, 0, 0, 0, 0, 0], Answer::Refuse);
        }
        expect(policy, "clone", [0x4000_0000, 0, 0, 0, 0, 0], Answer::Refuse);
        // What pthread_create asks for.
        expect(policy, "clone", [0x003D_0F00, 0, 0, 0, 0, 0], Answer::Allow);
        for request in [0x8916, 0x890B, 0x8B1A, 0x5412, 0x541C, 0x4004_54CA] {
            expect(policy, "ioctl", [0, request, 0, 0, 0, 0], Answer::Refuse);
            // The kernel takes the request as 32 bits, whatever stands above them.
            expect(policy, "ioctl", [0, request | 1 << 32, 0, 0, 0, 0], Answer::Refuse);
        }
        for request in [0x5401, 0x5421, 0x541B, 0xC020_462A] {
            expect(policy, "ioctl", [0, request, 0, 0, 0, 0], Answer::Allow);
        }
    }
}

#[test]
fn a_child_without_sockets_has_not_even_the_rest_of_them() {
    for call in [
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
    ] {
        expect(Policy::NoSockets, call, [1, 0, 0, 0, 0, 0], Answer::Refuse);
    }
}

#[test]
fn a_server_accepts_and_answers_but_never_calls_out() {
    let serve = Policy::ServeOnly;
    for call in ["accept4", "recvfrom", "shutdown", "getsockopt", "getpeername"] {
        expect(serve, call, NONE, Answer::Allow);
    }
    // send(2): no destination, MSG_NOSIGNAL.
    expect(serve, "sendto", [9, 1, 1, 0x4000, 0, 0], Answer::Allow);
    // A destination whose address has an empty lower half is one all the same.
    for destination in [1, 0x1_0000_0000, 0x7fff_ffff_0000, u64::MAX] {
        expect(serve, "sendto", [9, 1, 1, 0x4000, destination, 16], Answer::Refuse);
    }
    expect(serve, "sendto", [9, 1, 1, 0x2000_4000, 0, 0], Answer::Refuse);
    expect(serve, "socketpair", [1, 1, 0, 0, 0, 0], Answer::Allow);
    expect(serve, "socketpair", [0x1_0000_0001, 1, 0, 0, 0, 0], Answer::Allow);
    expect(serve, "socketpair", [30, 1, 0, 0, 0, 0], Answer::Refuse);
    // SO_RCVTIMEO and TCP_NODELAY, but not TCP_REPAIR, TCP_FASTOPEN_CONNECT, TCP_ULP, IP_*.
    expect(serve, "setsockopt", [9, 1, 20, 0, 0, 0], Answer::Allow);
    expect(serve, "setsockopt", [9, 6, 1, 0, 0, 0], Answer::Allow);
    for (level, option) in [(6, 19), (6, 30), (6, 31), (6, 23), (0, 4), (41, 1), (282, 1)] {
        expect(serve, "setsockopt", [9, level, option, 0, 0, 0], Answer::Refuse);
    }
}

#[test]
fn no_number_outside_the_known_ones_passes() {
    for machine in BOTH {
        for policy in [Policy::NoSockets, Policy::ServeOnly] {
            let program = policy.program(machine);
            let answer = |number| run(program.instructions(), machine.audit_value(), number, NONE);
            for number in [400, 423, 470, 471, 1000, 0x3fff_ffff] {
                assert_eq!(answer(number), Answer::Absent.value(), "{machine:?} {number}");
            }
            for number in [0x4000_0000, 0x4000_0029, 0x8000_0029, u32::MAX] {
                assert_ne!(answer(number), Answer::Allow.value(), "{machine:?} {number}");
            }
            // futex_wait and file_setattr are known.
            for number in [424, 455, 469] {
                assert_eq!(answer(number), Answer::Allow.value(), "{machine:?} {number}");
            }
            for foreign in [0x4000_0003, 0x4000_0028, 0, u32::MAX] {
                let found = run(program.instructions(), foreign, 41, NONE);
                assert_eq!(found, Answer::Kill.value(), "{foreign:#x}");
            }
        }
    }
}

#[test]
fn the_filter_can_be_printed_and_hashed() {
    for policy in [Policy::NoSockets, Policy::ServeOnly] {
        for machine in BOTH {
            let program = policy.program(machine);
            assert_eq!(program.filter_bytes().len(), program.length() * 8);
            assert!(program.length() < 4096, "the kernel's limit");
            let text = program.to_string();
            assert!(text.contains("; sendmsg: refuse"), "{text}");
            assert_eq!(program.sha256().len(), 64);
        }
    }
    let hashes = [
        Policy::NoSockets.program(Machine::X86_64).sha256(),
        Policy::ServeOnly.program(Machine::X86_64).sha256(),
        Policy::ServeOnly.program(Machine::Aarch64).sha256(),
    ];
    assert_ne!(hashes[0], hashes[1]);
    assert_ne!(hashes[1], hashes[2]);
}
