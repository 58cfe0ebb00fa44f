//! Bytes that change on the way, and volumes that are not what they should be.

use super::place::{Lab, copy};
use super::scenario::{make_kit, pack_kit};
use super::tally::{full, sample, tally};
use super::tree::tree;
use ::install::{Bundle, InstallOptions, Trust, install, repair};
use manifest::{Sha256, Silent, layout};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use testkit::sandbox::noise;

/// Files of a bundle of about 200 KB.
fn small() -> Vec<(String, Vec<u8>)> {
    (0..3).map(|at| (format!("parts/odds/{at}.bin"), noise(at, 20_000 + at as usize))).collect()
}

/// Every file of a bundle folder with its size, but for the text that only people read.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut found: Vec<_> = entries.map(|entry| (entry.path(), entry.metadata().unwrap().len())).collect();
    found.sort();
    found
}

/// Why the bundle is not accepted; nothing when it is.
fn refused(folder: &Path) -> Option<String> {
    match Bundle::open(folder) {
        Err(error) => Some(error.to_string()),
        Ok(bundle) => bundle.verify(1, &Silent).err().map(|report| format!("{:?}", report.findings)),
    }
}

/// Installs a damaged bundle into a new home: it is refused and nothing is in use, or every file is right.
fn installs_right_or_not_at_all(kit: &Path, home: &Path) -> Result<(), String> {
    let trust = Trust { allow_unsigned: true, ..Trust::default() };
    let options = InstallOptions { home: home.to_path_buf(), threads: 1, trust, ..InstallOptions::default() };
    let installed = Bundle::open(kit).ok().and_then(|bundle| install(&bundle, &options, &Silent).ok());
    let current = ::install::current(home).map_err(|error| error.to_string())?;
    if installed.is_some() != current.is_some() {
        return Err("it says one thing and did another".to_owned());
    }
    let right: Vec<Sha256> = small().iter().map(|(_, bytes)| Sha256::of(bytes)).collect();
    let wrong = tree(home).into_iter().find(|(path, digest)| path.contains("/parts/") && !right.contains(digest));
    let _ = fs_err::remove_dir_all(home);
    wrong.map_or(Ok(()), |(path, _)| Err(format!("{path} is wrong")))
}

/// A repair gives the original bytes, or says that it could not.
fn repairs_right_or_says_so(kit: &Path, path: &Path, intact: &[u8]) -> Result<(), String> {
    let good = repair(kit, 1, &Silent).is_ok_and(|report| report.now.is_good());
    let same = fs_err::read(path).unwrap() == intact;
    fs_err::write(path, intact).unwrap();
    if good == same { Ok(()) } else { Err(format!("repaired: {good}, the same bytes as before: {same}")) }
}

/// A stretch of damages to one file.
struct Stretch {
    name: String,
    from: u64,
    to: u64,
    step: usize,
}

/// All of a bundle's bytes in stretches; every so many of them when not everything is to be tried.
fn stretches(folder: &Path, step: usize, volumes_only: bool) -> Vec<Stretch> {
    let step = if full() { 1 } else { step };
    let mut found = Vec::new();
    for (path, size) in files(folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if volumes_only && layout::parse_volume_name(&name).is_none() {
            continue;
        }
        for from in (0..size).step_by(5_000) {
            found.push(Stretch { name: name.clone(), from, to: size.min(from + 5_000), step });
        }
    }
    found
}

/// A bundle of about 200 KB in two volumes, of which every worker gets copies.
fn template(lab: &Lab) -> PathBuf {
    let folder = lab.folder();
    let volumes = pack_kit(&folder.join("kit"), small(), 1, None, 100 << 10);
    assert!(volumes >= 2, "{volumes}");
    folder
}

#[test]
fn every_flipped_byte_is_found_and_never_installed() {
    let lab = Lab::new();
    let template = template(&lab);
    let cases = stretches(&template.join("kit"), 151, false);
    tally("byte flipped", &cases, |Stretch { name, from, to, step }| {
        let place = lab.copy_of(&template);
        let kit = place.join("kit");
        let path = kit.join(name);
        let intact = fs_err::read(&path).unwrap();
        let mut tried = 0;
        for at in (*from..*to).step_by(*step) {
            let loss = |what: String| format!("`{name}`, byte {at}: {what}");
            let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
            let byte = intact[at as usize] ^ 1 << (at % 8);
            file.file().write_all_at(&[byte], at).unwrap();
            if refused(&kit).is_none() {
                return Err(loss("it went unnoticed".to_owned()));
            }
            let number = at / *step as u64;
            if number.is_multiple_of(16) {
                installs_right_or_not_at_all(&kit, &place.join("home")).map_err(loss)?;
            }
            if number % 16 == 1 && layout::parse_volume_name(name).is_some() {
                repairs_right_or_says_so(&kit, &path, &intact).map_err(loss)?;
            }
            file.file().write_all_at(&[intact[at as usize]], at).unwrap();
            tried += 1;
        }
        let whole = refused(&kit);
        fs_err::remove_dir_all(&place).unwrap();
        whole.map_or(Ok(tried), |findings| Err(format!("the intact bundle is refused: {findings}")))
    });
}

#[test]
fn every_truncation_is_found_and_never_installed() {
    let lab = Lab::new();
    let template = template(&lab);
    let cases = stretches(&template.join("kit"), 307, true);
    tally("cut off", &cases, |Stretch { name, from, to, step }| {
        let place = lab.copy_of(&template);
        let kit = place.join("kit");
        let path = kit.join(name);
        let intact = fs_err::read(&path).unwrap();
        let mut tried = 0;
        for length in (*from..*to).rev().step_by(*step) {
            let loss = |what: String| format!("`{name}`, cut off after {length} bytes: {what}");
            fs_err::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
            if refused(&kit).is_none() {
                return Err(loss("it went unnoticed".to_owned()));
            }
            if tried % 16 == 0 {
                installs_right_or_not_at_all(&kit, &place.join("home")).map_err(loss)?;
            }
            if tried % 16 == 1 {
                repairs_right_or_says_so(&kit, &path, &intact).map_err(loss)?;
            }
            tried += 1;
        }
        fs_err::remove_dir_all(&place).unwrap();
        Ok(tried)
    });
}

/// What happens to a volume as a whole.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Missing,
    Swapped,
    Duplicated,
    Foreign,
    Stale,
    Empty,
    Zeros,
    Folder,
}

#[test]
fn every_volume_that_is_not_what_it_should_be_is_named() {
    let lab = Lab::new();
    let template = lab.folder();
    make_kit(&template.join("kit"), 2, None);
    pack_kit(&template.join("foreign"), small(), 1, None, 100 << 10);
    make_kit(&template.join("stale"), 1, None);
    let names: Vec<String> = files(&template.join("kit"))
        .iter()
        .filter_map(|(path, _)| path.file_name()?.to_str().map(str::to_owned))
        .filter(|name| layout::parse_volume_name(name).is_some())
        .collect();
    use Wrong::{Duplicated, Empty, Folder, Foreign, Missing, Stale, Swapped, Zeros};
    let kinds = [Missing, Swapped, Duplicated, Foreign, Stale, Empty, Zeros, Folder];
    let cases: Vec<_> = names.iter().flat_map(|name| kinds.map(|wrong| (name.clone(), wrong))).collect();
    let cases = sample(cases, 40);
    tally("volume wrong", &cases, |(name, wrong)| {
        let place = lab.copy_of(&template);
        let kit = place.join("kit");
        let path = kit.join(name);
        let other = kit.join(names.iter().find(|other| *other != name).unwrap());
        match wrong {
            Missing => fs_err::remove_file(&path).unwrap(),
            Swapped => testkit::damage::swap(&path, &other),
            Duplicated => drop(fs_err::copy(&path, &other).unwrap()),
            Foreign => drop(fs_err::copy(place.join("foreign").join(name), &path).unwrap()),
            Stale => drop(fs_err::copy(place.join("stale").join(name), &path).unwrap()),
            Empty => fs_err::write(&path, b"").unwrap(),
            Zeros => fs_err::write(&path, vec![0; fs_err::metadata(&path).unwrap().len() as usize]).unwrap(),
            Folder => {
                fs_err::remove_file(&path).unwrap();
                fs_err::create_dir(&path).unwrap();
            }
        }
        let loss = |what: &str, said: &str| Err(format!("{name} {wrong:?}: {what}\n{said}"));
        let named = if matches!(wrong, Duplicated) { other.file_name().unwrap().to_str().unwrap() } else { name };
        let verified = lab.run(&place, &[], &["verify", "kit"]);
        if verified.code != Some(1) || !verified.said.contains(named) || verified.said.contains("panicked") {
            return loss("verify does not name it", &verified.said);
        }
        let install = ["install", "kit", "--home", "home", "--allow-unsigned"];
        let installed = lab.run(&place, &[], &install);
        let works = lab.run(&place, &[], &["verify", "home"]).code == Some(0);
        // Volumes under each other's names are all there.
        if works != matches!(wrong, Swapped) || (installed.code == Some(0)) != works {
            return loss("installed", &installed.said);
        }
        // Of two volumes, nobody can tell which one is foreign to the other.
        let foreign = installed.said.contains("another bundle");
        if !works && !installed.said.contains(named) && !foreign {
            return loss("install does not name it", &installed.said);
        }
        let repaired = lab.run(&place, &[], &["repair", "kit"]);
        if repaired.said.contains("panicked") || !matches!(repaired.code, Some(0 | 1)) {
            return loss("repair", &repaired.said);
        }
        if repaired.code == Some(0) && lab.run(&place, &[], &["verify", "kit"]).code != Some(0) {
            return loss("repair says that all is well", &repaired.said);
        }
        fs_err::remove_dir_all(&kit).unwrap();
        copy(&template.join("kit"), &kit);
        let again = lab.run(&place, &[], &install);
        if again.code != Some(0) || lab.run(&place, &[], &["verify", "home"]).code != Some(0) {
            return loss("the whole bundle is refused afterwards", &again.said);
        }
        fs_err::remove_dir_all(&place).unwrap();
        Ok(1)
    });
}
