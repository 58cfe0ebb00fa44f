//! What the started children do.

use crate::outer::surround;
use crate::work::{forbidden_work, ordinary_work};
use seal::{Attempt, FileRules, Level, SealReport};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;

/// First argument of a child.
pub(crate) const MARK: &str = "__child";

/// What a child prints.
#[derive(Serialize, Deserialize, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) report: Option<SealReport>,
    pub(crate) error: Option<String>,
    pub(crate) attempts: Vec<Attempt>,
    /// Ordinary work that failed inside the seal.
    pub(crate) broken: Vec<String>,
    /// Things that must be refused and were not.
    pub(crate) reached: Vec<String>,
    /// Lines `Seccomp` and `NoNewPrivs` of every thread.
    pub(crate) threads: Vec<String>,
}

impl Findings {
    pub(crate) fn report(&self) -> &SealReport {
        self.report.as_ref().unwrap_or_else(|| panic!("no report: {:?}", self.error))
    }

    pub(crate) fn passed(&self) -> Vec<&str> {
        let open = self.attempts.iter().filter(|attempt| !attempt.refused);
        open.map(|attempt| attempt.what.as_str()).collect()
    }

    pub(crate) fn detail(&self, mechanism: &str) -> (bool, &str) {
        let found = self.report().mechanism(mechanism).expect(mechanism);
        (found.enforced, found.detail.as_str())
    }
}

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let findings = match arguments.as_slice() {
        ["isolate", around, canary, room] => isolate(around, address(canary), Path::new(room)),
        ["canary"] => canary_in_an_empty_network(),
        ["threaded", room] => threaded(Path::new(room)),
        ["rules", path] => failed(seal::isolate(&FileRules { read_write: vec![path.into()], read_only: Vec::new() })),
        ["naive", around, canary] => naive(around, address(canary)),
        ["hardened", canary, room] => hardened(address(canary), Path::new(room)),
        ["inherited", descriptor, room] => inherited(descriptor.parse().unwrap(), Path::new(room)),
        ["foreign call", room] => foreign_call(Path::new(room)),
        ["listener", bind, room] => {
            failed(seal::seal_server(&TcpListener::bind(bind).unwrap(), &rules(Path::new(room))))
        }
        ["serve", around, canary, room] => {
            crate::served::serve(around, address(canary), Path::new(room));
            return ExitCode::SUCCESS;
        }
        ["old threads", canary, room] => old_threads(address(canary), Path::new(room)),
        other => panic!("unknown scenario {other:?}"),
    };
    let text = serde_json::to_vec(&findings).unwrap();
    std::io::stdout().write_all(&text).unwrap();
    ExitCode::SUCCESS
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn rules(room: &Path) -> FileRules {
    FileRules { read_write: vec![room.join("out")], read_only: vec![room.join("model")] }
}

fn failed(result: Result<SealReport, seal::SealError>) -> Findings {
    let error = result.as_ref().err().map(|error| format!("{error}\n{}", error.hint().unwrap()));
    Findings { report: result.ok(), error, ..Findings::default() }
}

fn isolate(around: &str, canary: SocketAddr, room: &Path) -> Findings {
    surround(around);
    let report = seal::isolate(&rules(room)).unwrap();
    let level = report.level;
    let mut findings = Findings { report: Some(report), ..Findings::default() };
    findings.attempts = seal::probe(canary, level);
    findings.broken = ordinary_work(room);
    findings.reached = forbidden_work(room);
    findings.threads = thread_states();
    findings
}

pub(crate) fn thread_states() -> Vec<String> {
    let mut lines = Vec::new();
    for task in fs_err::read_dir("/proc/self/task").unwrap().flatten() {
        let text = fs_err::read_to_string(task.path().join("status")).unwrap();
        let wanted = text.lines().filter(|line| line.starts_with("Seccomp:") || line.starts_with("NoNewPrivs:"));
        lines.push(wanted.map(|line| line.replace('\t', "")).collect::<Vec<_>>().join(" "));
    }
    lines
}

/// A parent that runs in a network of its own with loopback off.
fn canary_in_an_empty_network() -> Findings {
    surround("empty network");
    let mut broken = Vec::new();
    let canary = seal::Canary::listen().unwrap();
    if let Err(error) = seal::knock(canary.address()) {
        broken.push(error.to_string());
    }
    if (canary.tcp_hits(), canary.udp_hits()) != (1, 1) {
        broken.push("the canary did not hear".to_owned());
    }
    if seal::raise_loopback().unwrap() {
        broken.push("loopback was still off".to_owned());
    }
    Findings { broken, ..Findings::default() }
}

fn threaded(room: &Path) -> Findings {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || receiver.recv().is_ok());
    let findings = failed(seal::isolate(&rules(room)));
    drop(sender);
    thread.join().unwrap();
    findings
}

/// Lays a naive filter over this process and tries the same ways out.
fn naive(around: &str, canary: SocketAddr) -> Findings {
    let spare = TcpListener::bind("127.0.0.1:0").unwrap();
    surround(around);
    // Not sealed: so nothing but the loopback canary may be tried.
    let attempts = seal::probe_with_listener(canary, Level::S0, spare);
    Findings { attempts, ..Findings::default() }
}

/// The same listener and the same ways out, with our filter.
fn hardened(canary: SocketAddr, room: &Path) -> Findings {
    use std::os::fd::AsRawFd;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let spare = TcpListener::bind("127.0.0.1:0").unwrap();
    let report = seal::seal_server_keeping(&listener, &rules(room), &[spare.as_raw_fd()]).unwrap();
    let attempts = seal::probe_with_listener(canary, report.level, spare);
    Findings { report: Some(report), attempts, ..Findings::default() }
}

/// Writes into a connected socket that the parent forgot to close.
fn inherited(descriptor: i32, room: &Path) -> Findings {
    let report = seal::isolate(&rules(room)).unwrap();
    let mut reached = Vec::new();
    for descriptor in [0, descriptor] {
        #[expect(unsafe_code, reason = "writes by number, as a leak would")]
        // SAFETY: the byte outlives the call; a closed descriptor is an error value.
        let sent = unsafe { libc::write(descriptor, b"x".as_ptr().cast(), 1) };
        // Standard input leads to /dev/null by now, which takes everything.
        if sent == 1 && descriptor != 0 {
            reached.push(format!("descriptor {descriptor}"));
        }
    }
    Findings { report: Some(report), reached, ..Findings::default() }
}

/// Asks for a socket through the 32-bit door; must not live to tell.
fn foreign_call(room: &Path) -> Findings {
    let report = seal::isolate(&rules(room)).unwrap();
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "the 32-bit door is an instruction")]
    // SAFETY: the call takes numbers only; rbx is restored.
    unsafe {
        std::arch::asm!(
            "push rbx", "mov ebx, 2", "int 0x80", "pop rbx",
            inout("eax") 359 => _, inout("ecx") 1 => _, inout("edx") 0 => _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    Findings { report: Some(report), ..Findings::default() }
}

/// Threads that ran before the sealing are sealed with it.
fn old_threads(canary: SocketAddr, room: &Path) -> Findings {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (start, wait) = std::sync::mpsc::channel::<()>();
    let old = std::thread::spawn(move || {
        wait.recv().unwrap();
        TcpStream::connect(canary).is_ok()
    });
    let report = seal::seal_server(&listener, &rules(room)).unwrap();
    let threads = thread_states();
    start.send(()).unwrap();
    let mut reached = Vec::new();
    if old.join().unwrap() {
        reached.push("the canary, from a thread that ran before".to_owned());
    }
    Findings { report: Some(report), reached, threads, ..Findings::default() }
}
