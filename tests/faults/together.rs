//! Two at once.

use super::place::{Ended, Lab};
use super::scenario::{Scenario, Scenarios, begin};
use super::tally::{full, tally};
use super::tree::{below, difference, tree};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

/// The same command twice at the same time: one does it, the other is refused or does it too; afterwards all is right.
fn twice(lab: &Lab, scenario: &Scenario, part: &str) -> Result<usize, String> {
    let folder = begin(lab, scenario);
    let start = || {
        let mut command = lab.command(&folder, &[], &scenario.args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let ends = [start(), start()].map(|child| Ended::of_output(child.wait_with_output().unwrap()));
    let said = || ends.iter().map(|end| format!("{:?} {}\n", end.code, end.said)).collect::<String>();
    let found = tree(&folder);
    fs_err::remove_dir_all(&folder).unwrap();
    if !ends.iter().any(|end| end.code == Some(0)) || ends.iter().any(|end| !matches!(end.code, Some(0 | 1))) {
        return Err(format!("{}: nobody did it\n{}", scenario.name, said()));
    }
    // Two installations one after the other make two generations.
    let after = below(&scenario.after, part);
    let wrong = after.iter().any(|(path, sha256)| !path.ends_with("CURRENT") && found.get(path) != Some(sha256));
    let unfinished = found.keys().any(|path| path.contains("UNFINISHED"));
    match wrong || unfinished {
        true => Err(format!("{}: {}\n{}", scenario.name, difference(&after, &below(&found, part)), said())),
        false => Ok(1),
    }
}

#[test]
fn two_of_the_same_at_once() {
    let lab = Lab::new();
    let scenarios = Scenarios::new(&lab);
    let times = if full() { 40 } else { 3 };
    let parts = [("fetch", "kit/"), ("bundle", "kit/"), ("install", "home/"), ("update", "home/")];
    let chosen = parts.iter().flat_map(|(name, part)| {
        scenarios.all.iter().filter(move |scenario| scenario.name == *name).map(move |scenario| (scenario, *part))
    });
    let cases: Vec<_> = chosen.flat_map(|case| std::iter::repeat_n(case, times)).collect();
    tally("two at once", &cases, |(scenario, part)| twice(&lab, scenario, part));
}

#[test]
fn a_page_is_served_while_the_next_bundle_is_installed() {
    let lab = Lab::new();
    let scenarios = Scenarios::new(&lab);
    let names = ["install over another", "update", "roll back", "gc"];
    let cases: Vec<_> = scenarios.all.iter().filter(|scenario| names.contains(&scenario.name)).collect();
    tally("while serving", &cases, |scenario| {
        let folder = begin(&lab, scenario);
        let serve = ["serve", "--home", "home", "--no-browser", "--json", "--allow-unsealed"];
        let mut server =
            lab.command(&folder, &[], &serve).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.into_iter().find_map(|line| {
            let (_, behind) = line.split_once("http://")?;
            behind.split(['/', '"']).next().map(str::to_owned)
        });
        let answers = || {
            let address = address.as_deref()?;
            let mut stream = std::net::TcpStream::connect(address).ok()?;
            write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            answer.starts_with("HTTP/1.1 200").then_some(())
        };
        let before = answers();
        let done = lab.run(&folder, &[], &scenario.args);
        let after = answers();
        let _ = server.kill();
        let _ = server.wait();
        let mut found = tree(&folder);
        // What the page's server writes meanwhile.
        let served = |path: &str| path.starts_with("home/outputs/") || path.starts_with("home/state/");
        found.retain(|path, _| scenario.after.contains_key(path) || !served(path));
        fs_err::remove_dir_all(&folder).unwrap();
        if before.is_none() || after.is_none() || done.code != Some(0) || found != scenario.after {
            let what = difference(&scenario.after, &found);
            return Err(format!("{}: {before:?} {after:?} {:?} {what}\n{}", scenario.name, done.code, done.said));
        }
        Ok(1)
    });
}
