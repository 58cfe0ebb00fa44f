//! Seals real processes. Sealing cannot be undone, so every case starts this program again as a
//! child, which seals itself, tries to get out, and prints what it found as JSON.

#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod isolated;
#[cfg(target_os = "linux")]
mod leaks;
#[cfg(target_os = "linux")]
mod outer;
#[cfg(target_os = "linux")]
mod parent;
#[cfg(target_os = "linux")]
mod served;
#[cfg(target_os = "linux")]
mod work;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(child::MARK) {
        let arguments: Vec<String> = arguments.collect();
        return child::run(&arguments);
    }
    let mut trials = Vec::new();
    trials.extend(isolated::trials());
    trials.extend(leaks::trials());
    trials.extend(served::trials());
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit_code()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
