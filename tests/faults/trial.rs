//! One fault: what may lie there afterwards, and whether a second run completes.

use super::inject::{Harm, Point, harmed, words};
use super::place::{Ended, Lab};
use super::scenario::{Scenario, begin};
use super::tree::{below, difference, tree};
use manifest::layout;
use std::path::Path;

/// Does harm at a point of a run. Answers 1, or 0 when the point was not reached.
///
/// # Errors
/// What was lost, for people.
pub(crate) fn trial(lab: &Lab, scenario: &Scenario, point: &Point, harm: Harm) -> Result<usize, String> {
    let folder = begin(lab, scenario);
    let (ended, hit) = harmed(lab, &folder, &scenario.args, point, harm);
    let result = match &hit {
        None if ended.code == Some(0) => Ok(0),
        // The program did not even begin: it was one of its libraries that could not be loaded.
        Some(_) if ended.code == Some(127) => Ok(0),
        None => Err(format!("it ended with {:?} though nothing was done to it", ended.code)),
        Some(files) => judge(lab, scenario, &folder, &ended, point, harm, files).map(|()| 1),
    };
    fs_err::remove_dir_all(&folder).unwrap();
    result.map_err(|loss| {
        format!(
            "{}, {harm:?} at {} {} ({}): {loss}\n{}",
            scenario.name,
            point.call,
            point.number,
            hit.unwrap_or_default().join(", "),
            ended.said
        )
    })
}

fn judge(
    lab: &Lab,
    scenario: &Scenario,
    folder: &Path,
    ended: &Ended,
    point: &Point,
    harm: Harm,
    files: &[String],
) -> Result<(), String> {
    if ended.said.contains("panicked") || ended.said.contains("has a fault") {
        return Err("it panicked".to_owned());
    }
    if !ended.killed && !matches!(ended.code, Some(0 | 1)) {
        return Err(format!("it ended with {:?}", ended.code));
    }
    right_or_unfinished(scenario, folder)?;
    works(lab, folder)?;
    if ended.code == Some(0) {
        let found = tree(folder);
        if found != scenario.after {
            return Err(format!("it says that it is done: {}", difference(&scenario.after, &found)));
        }
    }
    // Where nothing can be written any more, there is nothing that could be said.
    let speechless = matches!(harm, Harm::Onward(_)) && point.call.starts_with("write");
    if let (Some(1), Harm::Once(error) | Harm::Onward(error), false) = (ended.code, harm, speechless) {
        names_file_and_cause(&ended.said, files, error)?;
    }
    completes(lab, scenario, folder)
}

/// Nothing wrong and nothing partial has a final name; nothing that should stay is gone.
fn right_or_unfinished(scenario: &Scenario, folder: &Path) -> Result<(), String> {
    let found = tree(folder);
    let unfinished = format!("kit/{}", layout::UNFINISHED);
    let being_made = found.contains_key(&unfinished);
    // What packing notes for itself, until the end.
    let note = format!("kit/{}", layout::PACKING);
    for (path, sha256) in found.iter().filter(|(path, _)| ![&unfinished, &note].contains(path)) {
        let known = [scenario.before.get(path), scenario.after.get(path)];
        if !known.contains(&Some(sha256)) && !between(scenario, folder, path) {
            return Err(format!("{path} is neither what it was nor what it should be"));
        }
    }
    for path in scenario.before.keys().filter(|path| scenario.after.contains_key(*path)) {
        let coming = being_made && path.starts_with("kit/");
        if !coming && !found.contains_key(path) {
            return Err(format!("{path} is gone"));
        }
    }
    let mut kit = below(&found, "kit/");
    kit.remove(&note);
    let whole = [below(&scenario.before, "kit/"), below(&scenario.after, "kit/")].contains(&kit);
    if !(being_made || whole || scenario.name == "repair") {
        return Err("the bundle is in pieces and does not say so".to_owned());
    }
    Ok(())
}

/// A volume that is being repaired: every byte of it is the damaged one or the right one.
fn between(scenario: &Scenario, folder: &Path, path: &str) -> bool {
    let [found, before, after] =
        [folder, &scenario.template, &scenario.done].map(|place| fs_err::read(place.join(path)).unwrap_or_default());
    scenario.name == "repair"
        && found.len() == after.len()
        && found.iter().zip(before.iter().zip(&after)).all(|(byte, (old, new))| byte == old || byte == new)
}

/// What is installed there is whole.
fn works(lab: &Lab, folder: &Path) -> Result<(), String> {
    if !folder.join("home").join(layout::CURRENT).exists() {
        return Ok(());
    }
    let verified = lab.run(folder, &[], &["verify", "home"]);
    match verified.code {
        Some(0) => Ok(()),
        _ => Err(format!("what is installed does not work: {}", verified.said)),
    }
}

/// The message says what happened to which file: its name or that of its folder, and the system's words.
fn names_file_and_cause(said: &str, files: &[String], error: &str) -> Result<(), String> {
    if !words(error).iter().any(|word| said.contains(word)) {
        return Err(format!("it does not say `{}`", words(error).join("` or `")));
    }
    let names = |file: &String| {
        let path = Path::new(file.strip_suffix(layout::PARTIAL_SUFFIX).unwrap_or(file));
        let name = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| said.contains(name));
        let mut folders = path.ancestors().skip(1).filter_map(Path::to_str).filter(|folder| folder.contains('/'));
        name || folders.any(|folder| said.contains(folder))
    };
    match files.is_empty() || files.iter().any(names) {
        true => Ok(()),
        false => Err(format!("it does not name `{}`", files.join("` or `"))),
    }
}

/// The same command once more, without the fault, comes to the right end.
fn completes(lab: &Lab, scenario: &Scenario, folder: &Path) -> Result<(), String> {
    if tree(folder) == scenario.after {
        return Ok(());
    }
    let again = lab.run(folder, &[], &scenario.args);
    if again.code != Some(0) {
        return Err(format!("a second run fails: {}", again.said));
    }
    let found = tree(folder);
    if found != scenario.after {
        return Err(format!("a second run ends with something else: {}", difference(&scenario.after, &found)));
    }
    Ok(())
}
