//! One fault: what may lie there afterwards, and whether a second run completes.

use super::inject::{Harm, Point, harmed, words};
use super::place::{Ended, Lab};
use super::scenario::{Scenario, begin};
use super::tree::{RESTORED, Tree, below, difference, tree};
use manifest::layout;
use std::path::Path;

/// Bundle folders of all scenarios.
const KITS: [&str; 2] = ["kit/", "kit-2/"];

/// Does harm at a point of a run. Answers 1, or 0 when the point was not reached.
///
/// # Errors
/// What was lost, for people.
pub(crate) fn trial(lab: &Lab, scenario: &Scenario, point: &Point, harm: Harm) -> Result<usize, String> {
    let folder = begin(lab, scenario);
    let (ended, hit) = harmed(lab, &folder, scenario, point, harm);
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
    // Where the names of the harmed files and the cause can be read.
    let says = || match (ended.code, harm) {
        // Where nothing can be written any more, there is nothing that could be said.
        (_, Harm::Onward(_)) if point.call.starts_with("write") => Ok(()),
        // The program itself is read, too, when it is packed.
        (Some(1), Harm::Onward(error))
            if ended.said.contains(&format!("{}`: {}", lab.program().display(), words(error)[0])) =>
        {
            Ok(())
        }
        (Some(1), Harm::Once(error) | Harm::Onward(error)) => names_file_and_cause(&ended.said, files, error),
        _ => Ok(()),
    };
    if passed_over(ended) {
        says()?;
        works(lab, folder, harm)?;
        return comes_after_all(lab, scenario, folder);
    }
    right_or_unfinished(scenario, folder)?;
    works(lab, folder, harm)?;
    if ended.code == Some(0) {
        let found = tree(folder);
        if found != scenario.after {
            return Err(format!("it says that it is done: {}", difference(&scenario.after, &found)));
        }
    }
    says()?;
    completes(lab, scenario, folder)?;
    works(lab, folder, harm)
}

/// A file that could not be read was left out, and the rest was done: the run says so and ends with 1.
fn passed_over(ended: &Ended) -> bool {
    let said = ["is not complete: ", "could not be read and are not imported"];
    ended.code == Some(1) && said.iter().any(|words| ended.said.contains(words))
}

/// What was left out comes with the next run; a bundle is then made anew.
fn comes_after_all(lab: &Lab, scenario: &Scenario, folder: &Path) -> Result<(), String> {
    let bundles = KITS.iter().any(|kit| scenario.after.keys().any(|path| path.starts_with(kit)));
    let mut args = scenario.args.clone();
    args.extend(bundles.then(|| "--replace".to_owned()));
    let again = lab.run(folder, &[], &args);
    if again.code != Some(0) {
        return Err(format!("a second run fails: {}", again.said));
    }
    let (expected, found) = match bundles {
        true => (scenario.after.clone(), tree(folder)),
        false => (in_use(&scenario.done), in_use(folder)),
    };
    match expected == found {
        true => Ok(()),
        false => Err(format!("a second run ends with something else: {}", difference(&expected, &found))),
    }
}

/// What can be used in a folder with a home, however many installations it took: the newest one without its papers, and
/// everything that is not installed.
fn in_use(folder: &Path) -> Tree {
    let newest = fs_err::read_to_string(folder.join("home").join(layout::CURRENT)).unwrap_or_default();
    let generations = format!("home/{}/", layout::GENERATIONS);
    let newest = format!("{generations}{}/", newest.trim());
    let papers = [layout::MANIFEST, layout::RECEIPT, layout::CURRENT];
    let usable = tree(folder).into_iter().filter_map(|(path, sha256)| {
        let name = path.strip_prefix(&newest).or((!path.starts_with(&generations)).then_some(&path))?;
        (!papers.iter().any(|paper| name.ends_with(paper))).then(|| (name.to_owned(), sha256))
    });
    usable.collect()
}

/// Nothing wrong and nothing partial has a final name; nothing that should stay is gone.
fn right_or_unfinished(scenario: &Scenario, folder: &Path) -> Result<(), String> {
    let found = tree(folder);
    let being_made = |kit: &str| found.contains_key(&format!("{kit}{}", layout::UNFINISHED));
    // What says that a bundle is unfinished, and what packing notes for itself until the end.
    let notes: Vec<String> =
        KITS.iter().flat_map(|kit| [layout::UNFINISHED, layout::PACKING].map(|name| format!("{kit}{name}"))).collect();
    for (path, sha256) in found.iter().filter(|(path, _)| !notes.contains(path)) {
        let known = [scenario.before.get(path), scenario.after.get(path)];
        if !known.contains(&Some(sha256)) && !between(scenario, folder, path) {
            return Err(format!("{path} is neither what it was nor what it should be"));
        }
    }
    for path in scenario.before.keys().filter(|path| scenario.after.contains_key(*path)) {
        let coming = KITS.iter().any(|kit| path.starts_with(kit) && being_made(kit));
        if !coming && !found.contains_key(path) {
            return Err(format!("{path} is gone"));
        }
    }
    for kit in KITS {
        let content = |tree| {
            let mut content = below(tree, kit);
            content.remove(&format!("{kit}{}", layout::PACKING));
            content
        };
        let whole = [content(&scenario.before), content(&scenario.after)].contains(&content(&found));
        if !(being_made(kit) || whole || scenario.repairs()) {
            return Err(format!("the bundle in {kit} is in pieces and does not say so"));
        }
    }
    Ok(())
}

/// A volume that is being repaired: every byte of it is the damaged one or the right one.
fn between(scenario: &Scenario, folder: &Path, path: &str) -> bool {
    let [found, before, after] =
        [folder, &scenario.template, &scenario.done].map(|place| fs_err::read(place.join(path)).unwrap_or_default());
    scenario.repairs()
        && found.len() == after.len()
        && found.iter().zip(before.iter().zip(&after)).all(|(byte, (old, new))| byte == old || byte == new)
}

/// What is installed or restored there is whole, and draws.
fn works(lab: &Lab, folder: &Path, harm: Harm) -> Result<(), String> {
    for home in ["home", RESTORED] {
        if !folder.join(home).join(layout::CURRENT).exists() {
            continue;
        }
        let verified = lab.run(folder, &[], &["verify", home]);
        if verified.code != Some(0) {
            return Err(format!("what is in {home} does not work: {}", verified.said));
        }
        if matches!(harm, Harm::Kill) {
            draws(lab, folder, home)?;
        }
    }
    Ok(())
}

/// A picture can be drawn from what is there.
fn draws(lab: &Lab, folder: &Path, home: &str) -> Result<(), String> {
    let picture = folder.join("picture.png");
    let words =
        ["generate", "a cat", "--home", home, "--size", "64x64", "--steps", "1", "--seed", "1", "--out", "picture.png"];
    let drawn = lab.run(folder, &[], &words);
    let bytes = fs_err::read(&picture).unwrap_or_default();
    let _ = fs_err::remove_file(&picture);
    match drawn.code == Some(0) && bytes.starts_with(b"\x89PNG") {
        true => Ok(()),
        false => Err(format!("{home} draws nothing: {}", drawn.said)),
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
    let again = scenario.run(lab, folder, &[]);
    if again.code != Some(0) {
        return Err(format!("a second run fails: {}", again.said));
    }
    let found = tree(folder);
    if found != scenario.after {
        return Err(format!("a second run ends with something else: {}", difference(&scenario.after, &found)));
    }
    Ok(())
}
