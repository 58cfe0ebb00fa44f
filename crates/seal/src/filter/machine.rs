/// A processor family whose system call numbers are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// 64-bit Intel and AMD.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Machine {
    /// The family this program was built for, if it is one of these.
    #[must_use]
    pub fn native() -> Option<Self> {
        if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
            Some(Self::X86_64)
        } else if cfg!(all(target_arch = "aarch64", target_pointer_width = "64", target_endian = "little")) {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// The kernel's `AUDIT_ARCH_*` value (linux/audit.h).
    pub(crate) fn audit_value(self) -> u32 {
        match self {
            Self::X86_64 => 0xC000_003E,
            Self::Aarch64 => 0xC000_00B7,
        }
    }

    /// First number of the x32 calls, a second door to every call where the kernel has them.
    pub(crate) fn x32_start(self) -> Option<u32> {
        match self {
            Self::X86_64 => Some(0x4000_0000),
            Self::Aarch64 => None,
        }
    }

    /// Numbers that no kernel known at build time uses, as inclusive ranges.
    ///
    /// The highest judged call is `file_setattr`, 469 (Linux 6.17). A later kernel's new calls
    /// were never judged, so they stay closed.
    pub(crate) fn unknown_numbers(self) -> &'static [(u32, u32)] {
        match self {
            Self::X86_64 => &[(337, 423), (470, u32::MAX)],
            Self::Aarch64 => &[(244, 259), (295, 423), (470, u32::MAX)],
        }
    }
}
