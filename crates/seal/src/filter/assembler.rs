/// One instruction of the kernel's classic packet filter machine (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jump_true: u8,
    pub(crate) jump_false: u8,
    pub(crate) operand: u32,
}

/// Load a 32-bit word of `struct seccomp_data`.
pub(crate) const LOAD: u16 = 0x20;
/// Bitwise "and" with the operand.
pub(crate) const AND: u16 = 0x54;
/// Jump if equal to the operand.
pub(crate) const JUMP_EQUAL: u16 = 0x15;
/// Jump if greater than the operand.
pub(crate) const JUMP_GREATER: u16 = 0x25;
/// Jump if greater than or equal to the operand.
pub(crate) const JUMP_AT_LEAST: u16 = 0x35;
/// Jump if any bit of the operand is set.
pub(crate) const JUMP_ANY_BIT: u16 = 0x45;
/// End with the operand as the answer.
pub(crate) const RETURN: u16 = 0x06;

/// Where `struct seccomp_data` keeps the call's number and the machine's `AUDIT_ARCH_*`.
pub(crate) const NUMBER_OFFSET: u32 = 0;
pub(crate) const MACHINE_OFFSET: u32 = 4;

/// What the kernel does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Allow,
    /// `EPERM`: refused.
    Refuse,
    /// `ENOSYS`: as if the kernel did not have it, so that the C library takes its older way.
    Absent,
    Kill,
}

impl Answer {
    /// The kernel's `SECCOMP_RET_*` value (linux/seccomp.h).
    pub(crate) fn value(self) -> u32 {
        match self {
            Self::Allow => 0x7fff_0000,
            Self::Refuse => 0x0005_0001,
            Self::Absent => 0x0005_0026,
            Self::Kill => 0x8000_0000,
        }
    }
}

/// A condition on one argument of a call. 32-bit tests are for arguments that the kernel itself
/// takes as `int`; it ignores their upper half, and so must the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Equals {
        argument: u8,
        value: u32,
    },
    Differs {
        argument: u8,
        value: u32,
    },
    AnyBit {
        argument: u8,
        mask: u32,
    },
    Masked {
        argument: u8,
        mask: u32,
        value: u32,
    },
    /// A 64-bit pointer that is not null.
    NotNull {
        argument: u8,
    },
}

/// Little-endian halves of a 64-bit argument.
fn low_half(argument: u8) -> u32 {
    16 + 8 * u32::from(argument)
}

fn high_half(argument: u8) -> u32 {
    low_half(argument) + 4
}

/// Where a jump inside a test goes.
#[derive(Clone, Copy)]
enum Goal {
    Next,
    Skip(u8),
    Fail,
}

impl Test {
    /// The instructions; falling through means "holds".
    fn steps(self) -> Vec<(u16, Goal, Goal, u32)> {
        let load = |offset| (LOAD, Goal::Next, Goal::Next, offset);
        match self {
            Self::Equals { argument, value } => {
                vec![load(low_half(argument)), (JUMP_EQUAL, Goal::Next, Goal::Fail, value)]
            }
            Self::Differs { argument, value } => {
                vec![load(low_half(argument)), (JUMP_EQUAL, Goal::Fail, Goal::Next, value)]
            }
            Self::AnyBit { argument, mask } => {
                vec![load(low_half(argument)), (JUMP_ANY_BIT, Goal::Next, Goal::Fail, mask)]
            }
            Self::Masked { argument, mask, value } => vec![
                load(low_half(argument)),
                (AND, Goal::Next, Goal::Next, mask),
                (JUMP_EQUAL, Goal::Next, Goal::Fail, value),
            ],
            Self::NotNull { argument } => vec![
                load(low_half(argument)),
                (JUMP_EQUAL, Goal::Next, Goal::Skip(2), 0),
                load(high_half(argument)),
                (JUMP_EQUAL, Goal::Fail, Goal::Next, 0),
            ],
        }
    }
}

/// An instruction that does not jump.
pub(crate) fn plain(code: u16, operand: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, operand }
}

/// An instruction that skips so many of the next ones if its condition holds, or does not.
pub(crate) fn jump(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code, jump_true, jump_false, operand }
}

/// Instructions for "if the call is `number` and all tests hold, answer".
///
/// Expects the call's number in the accumulator and leaves it there when it falls through.
pub(crate) fn rule(number: u32, tests: &[Test], answer: Answer) -> Vec<Instruction> {
    let steps: Vec<_> = tests.iter().flat_map(|test| test.steps()).collect();
    let length = steps.len();
    let reload = usize::from(!tests.is_empty());
    let mut code = vec![jump(JUMP_EQUAL, number, 0, distance(length + 1 + reload))];
    for (position, (operation, on_true, on_false, operand)) in steps.into_iter().enumerate() {
        let resolve = |goal| match goal {
            Goal::Next => 0,
            Goal::Skip(count) => count,
            Goal::Fail => distance(length - position),
        };
        code.push(jump(operation, operand, resolve(on_true), resolve(on_false)));
    }
    code.push(plain(RETURN, answer.value()));
    if reload == 1 {
        code.push(plain(LOAD, NUMBER_OFFSET));
    }
    code
}

/// A jump distance. Rules have a handful of instructions; the simulator's tests would see a cut.
fn distance(instructions: usize) -> u8 {
    u8::try_from(instructions).unwrap_or(u8::MAX)
}
