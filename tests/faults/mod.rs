//! What goes wrong on the way: programs killed, disks full, sticks pulled out, bytes flipped.
//!
//! After each fault: nothing wrong or partial has a final name, what was installed before still works, the message
//! names file and cause, and the same command once more comes to the right end. Daily tests try a sample;
//! `scripts/faults` tries everything and counts (`docs/faults.md`). Needs Linux and strace.

mod damage;
mod inject;
mod place;
mod scenario;
mod surroundings;
mod tally;
mod together;
mod tree;
mod trial;

use inject::{Harm, Point, points};
use place::Lab;
use scenario::{Scenario, Scenarios, begin};
use tally::{full, sample, tally};
use trial::trial;

/// Errors that a disk gives.
const ERRORS: [&str; 4] = ["ENOSPC", "EIO", "EFBIG", "EROFS"];

/// Every moment of every scenario, with what should happen there.
fn moments<'a>(
    lab: &Lab,
    scenarios: &'a Scenarios,
    changing: bool,
    most: usize,
    harms: impl Fn(usize, &Point) -> Vec<Harm>,
) -> Vec<(&'a Scenario, Point, Harm)> {
    let mut all = Vec::new();
    for scenario in &scenarios.all {
        let folder = begin(lab, scenario);
        let mut found = points(lab, &folder, scenario, changing);
        if scenario.name == "fetch" {
            // Its packing is that of `bundle`.
            found.retain(|point| point.call != "copy_file_range");
        }
        fs_err::remove_dir_all(folder).unwrap();
        assert!(!found.is_empty(), "{} does nothing", scenario.name);
        let few = if scenario.is_slow() { most.div_ceil(2) } else { most };
        let chosen = sample(found, few).into_iter().enumerate();
        all.extend(chosen.flat_map(|(at, point)| {
            harms(at, &point).into_iter().map(move |harm| (scenario, point.clone(), harm)).collect::<Vec<_>>()
        }));
    }
    all
}

/// Once and onward with every error; of daily tests one after the other.
fn errors(at: usize, names: &[&'static str]) -> Vec<Harm> {
    let all: Vec<Harm> = names.iter().flat_map(|name| [Harm::Once(name), Harm::Onward(name)]).collect();
    if full() { all } else { all.into_iter().cycle().skip(at).step_by(3).take(1).collect() }
}

#[test]
fn killed_at_any_call_that_writes() {
    let lab = Lab::new();
    let scenarios = Scenarios::new(&lab);
    let cases = moments(&lab, &scenarios, true, 14, |_, _| vec![Harm::Kill]);
    tally("killed", &cases, |(scenario, point, harm)| trial(&lab, scenario, point, *harm));
}

#[test]
fn refused_by_the_disk_at_any_call_that_writes() {
    let lab = Lab::new();
    let scenarios = Scenarios::new(&lab);
    let cases = moments(&lab, &scenarios, true, 14, |at, _| errors(at, &ERRORS));
    tally("writing refused", &cases, |(scenario, point, harm)| trial(&lab, scenario, point, *harm));
}

#[test]
fn refused_by_the_disk_at_any_call_that_reads() {
    let lab = Lab::new();
    let scenarios = Scenarios::new(&lab);
    let cases = moments(&lab, &scenarios, false, 10, |at, _| errors(at, &["EIO", "ENODEV"]));
    tally("reading refused", &cases, |(scenario, point, harm)| trial(&lab, scenario, point, *harm));
}
