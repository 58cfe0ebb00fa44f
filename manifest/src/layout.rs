//! Every file name inside a bundle folder, an archive or a home. Nowhere else is one spelt.
//!
//! ```text
//! bundle folder (on the stick)             home (on the offline machine)
//! ├── START-HERE.txt                       ├── fieldforge
//! ├── fieldforge                           ├── CURRENT               ← name of the generation in use
//! ├── NAME.tar.zst  or .001 .002 …         ├── generations/0001/
//! ├── NAME.recovery.001 …  if wanted       │   │
//! ├── sbom.cdx.json                        │   ├── MANIFEST.json
//! └── SHA256SUMS                           │   ├── receipt.json
//!     archive members:                     │   ├── sbom.cdx.json
//!     ├── MANIFEST.json                    │   └── models/… frontends/… parts/… licences/… golden/…
//!     ├── models/checkpoints/…             ├── outputs/              ← pictures
//!     ├── parts/ID/…                       ├── imported/             ← papers of other programs
//!     └── golden/picture.png               ├── models/               ← model files that came without a bundle
//!                                          └── self-test/
//! ```

use crate::{BundlePath, BundlePathError, ComponentId, ComponentKind};
use std::path::{Path, PathBuf};

/// The bundle's table of contents, first member of the archive; also kept in every generation.
pub const MANIFEST: &str = "MANIFEST.json";
/// The manifest's signature, second member of a signed archive.
pub const MANIFEST_SIGNATURE: &str = "MANIFEST.json.minisig";
/// What a person who finds the stick should read.
pub const START_HERE: &str = "START-HERE.txt";
/// Digests of all files in the bundle folder, for `sha256sum -c`.
pub const SHA256SUMS: &str = "SHA256SUMS";
/// The bill of materials (CycloneDX): beside the archive, and a member of it.
pub const SBOM: &str = "sbom.cdx.json";
/// The end of an archive's name.
pub const ARCHIVE_SUFFIX: &str = ".tar.zst";
/// The end of a recovery volume's name, before its number.
pub const RECOVERY_SUFFIX: &str = ".recovery";
/// The program, as it is called in a bundle folder and in a home.
pub const PROGRAM: &str = if cfg!(windows) { "fieldforge.exe" } else { "fieldforge" };
/// Lies in a bundle folder as long as it is being written. It tells a person so, too.
pub const UNFINISHED: &str = "UNFINISHED.txt";
/// What of a bundle is written already, for another try. Stays on every stick but the last one: what it tells is needed
/// to go on with the next one.
pub const PACKING: &str = "packing.json";
/// A file that is made and removed again, to see whether a disk holds large files.
pub const PROBE: &str = "fieldforge-probe.part";
/// The end of the name of a file that is still being written.
pub const PARTIAL_SUFFIX: &str = ".part";

/// The end of the name of a volume that recovery volumes could compute only in part; zeros stand for the rest.
pub const INCOMPLETE_SUFFIX: &str = ".partial";

/// The request.
pub const REQUEST: &str = "forge.toml";
/// The lock beside it.
pub const LOCK: &str = "forge.lock";

/// Holds the name of the generation in use, and nothing else.
pub const CURRENT: &str = "CURRENT";
/// One folder per installed bundle.
pub const GENERATIONS: &str = "generations";
/// What was installed when, in a generation.
pub const RECEIPT: &str = "receipt.json";
/// The keys whose bundles may be installed, in a home: one per line, with its words behind it.
pub const TRUSTED_KEYS: &str = "trusted-keys.txt";
/// Held while an installation changes a home.
pub const HOME_LOCK: &str = "home.lock";
/// The home's own model files, which came without a bundle, in the folders of [`models_folder`].
pub const MODELS: &str = "models";
/// The end of the name of the file that holds the digest of an added model file, as `sha256sum` writes it.
pub const DIGEST_SUFFIX: &str = ".sha256";
/// Words that are put around prompts, in a home and in the folder of an imported program.
pub const STYLES: &str = "styles.csv";
/// Pictures.
pub const OUTPUTS: &str = "outputs";
/// What the page's server keeps besides pictures: its queue, its index of the pictures, pictures that were sent to it.
pub const STATE: &str = "state";
/// The file that makes a folder a model in the layout of diffusers.
pub const DIFFUSERS_INDEX: &str = "model_index.json";
/// What was imported from other programs: pictures below the outputs, papers (settings, styles, wildcards, workflows)
/// below the home, each in a folder named for the program.
pub const IMPORTED: &str = "imported";
/// Which files an unfinished import has copied.
pub const IMPORT_JOURNAL: &str = "import.journal";
/// The last self-test.
pub const SELF_TEST: &str = "self-test";
/// The self-test's result for programs.
pub const SELF_TEST_REPORT: &str = "self-test.json";
/// The self-test's result for people.
pub const SELF_TEST_TEXT: &str = "self-test.txt";
/// The picture that the self-test drew.
pub const SELF_TEST_PICTURE: &str = "picture.png";

/// What a frozen folder held, a member of the archive.
pub const TREE: &str = "TREE.json";
/// The folder for the content of a frozen folder's files inside a bundle, under their own names.
pub const FROZEN_FILES: &str = "files";
/// The same for files whose names a bundle cannot use: called by their digests.
pub const FROZEN_ODD: &str = "odd-names";
/// What the next backup need not carry, beside the archive of a frozen folder.
pub const FROZEN_INVENTORY: &str = "inventory.json";

/// The folder for reference pictures inside a bundle.
pub const GOLDEN: &str = "golden";
/// The folder for parts of files inside an update.
pub const UPDATES: &str = "updates";
/// The folder for licence texts inside a bundle.
pub const LICENCES: &str = "licences";

/// The name of an archive that fits one volume.
#[must_use]
pub fn archive_name(bundle: &str) -> String {
    format!("{bundle}{ARCHIVE_SUFFIX}")
}

/// The name of volume `number` (from 1) of an archive that does not.
#[must_use]
pub fn volume_name(bundle: &str, number: u32) -> String {
    format!("{bundle}{ARCHIVE_SUFFIX}.{number:03}")
}

/// The name of recovery volume `number` (from 1). It does not look like a volume, so that `cat NAME.tar.zst*` finds only
/// these.
#[must_use]
pub fn recovery_name(bundle: &str, number: u32) -> String {
    format!("{bundle}{RECOVERY_SUFFIX}.{number:03}")
}

/// Reads a name made by [`recovery_name`]: the bundle's name and the recovery volume's number.
#[must_use]
pub fn parse_recovery_name(file: &str) -> Option<(&str, u32)> {
    let (rest, digits) = file.rsplit_once('.')?;
    let bundle = rest.strip_suffix(RECOVERY_SUFFIX).filter(|bundle| !bundle.is_empty())?;
    let number = digits.parse().ok().filter(|number| *number > 0)?;
    (recovery_name(bundle, number) == file).then_some((bundle, number))
}

/// The name of the program for `target` ("x86_64-linux") in a bundle folder. The most common machine gets the plain one.
#[must_use]
pub fn program_name(target: &str) -> String {
    match target.split_once('-') {
        Some(("x86_64", "linux")) => "fieldforge".to_owned(),
        Some(("x86_64", "windows")) => "fieldforge.exe".to_owned(),
        Some((machine, "windows")) => format!("fieldforge-{machine}.exe"),
        Some((machine, "linux")) => format!("fieldforge-{machine}"),
        _ => format!("fieldforge-{target}"),
    }
}

/// Reads a name made by [`archive_name`] or [`volume_name`]: the bundle's name and the volume's number.
#[must_use]
pub fn parse_volume_name(file: &str) -> Option<(&str, Option<u32>)> {
    if let Some(bundle) = file.strip_suffix(ARCHIVE_SUFFIX) {
        return (!bundle.is_empty()).then_some((bundle, None));
    }
    let (archive, number) = file.rsplit_once('.')?;
    let bundle = archive.strip_suffix(ARCHIVE_SUFFIX)?;
    let digits = number.len() >= 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|number| *number > 0)?;
    (digits && !bundle.is_empty()).then_some((bundle, Some(number)))
}

/// The folder for model files of a kind: in bundles, below a generation, and below a home for its own; none for what is
/// no model file.
#[must_use]
pub const fn models_folder(kind: ComponentKind) -> Option<&'static str> {
    Some(match kind {
        ComponentKind::Checkpoint => "models/checkpoints",
        ComponentKind::Refiner => "models/refiners",
        ComponentKind::Lora => "models/loras",
        ComponentKind::Vae => "models/vae",
        ComponentKind::Taesd => "models/taesd",
        ComponentKind::Embedding => "models/embeddings",
        ComponentKind::Upscaler => "models/upscalers",
        ComponentKind::Controlnet => "models/controlnet",
        ComponentKind::Frontend | ComponentKind::Part => return None,
    })
}

/// `volume` with [`INCOMPLETE_SUFFIX`] behind its name.
#[must_use]
pub fn incomplete_name(volume: &str) -> String {
    format!("{volume}{INCOMPLETE_SUFFIX}")
}

/// Reads the name of a volume, be it whole or incomplete, as [`parse_volume_name`] does.
#[must_use]
pub fn parse_any_volume_name(file: &str) -> Option<(&str, Option<u32>)> {
    parse_volume_name(file.strip_suffix(INCOMPLETE_SUFFIX).unwrap_or(file))
}

/// The folder that files of a component get, inside a bundle and below a generation.
///
/// # Errors
/// Never for a valid component name; the type says so because paths are always checked.
pub fn folder_of(kind: ComponentKind, id: &ComponentId) -> Result<BundlePath, BundlePathError> {
    match models_folder(kind) {
        Some(folder) => folder.parse(),
        None if kind == ComponentKind::Frontend => format!("frontends/{id}").parse(),
        None => format!("parts/{id}").parse(),
    }
}

/// The file that holds the digest of an added model file.
#[must_use]
pub fn digest_beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(DIGEST_SUFFIX);
    PathBuf::from(name)
}

/// The member that holds the part of a file from chunk number `first` on, in an update.
#[must_use]
pub fn part_name(path: &BundlePath, first: u64) -> String {
    format!("{UPDATES}/{path}.part-{first}")
}

/// The end of the name of a member whose numbers stand in byte planes.
pub const PLANES_SUFFIX: &str = ".planes";

/// The name that a member gets whose numbers stand in byte planes ([`crate::Codec`]).
#[must_use]
pub fn planes_name(member: &str) -> String {
    format!("{member}{PLANES_SUFFIX}")
}

/// The component that the decoders of byte planes belong to.
pub const DECODERS: &str = "unplanes";

/// The place of a decoder of byte planes inside a bundle.
#[must_use]
pub fn decoder_path(name: &str) -> String {
    format!("parts/{DECODERS}/{name}")
}

/// Names that members may not use because the bundle or a generation uses them itself.
#[must_use]
pub fn is_reserved(path: &BundlePath) -> bool {
    let key = path.case_key();
    [MANIFEST, MANIFEST_SIGNATURE, RECEIPT, START_HERE, SHA256SUMS].iter().any(|name| name.to_lowercase() == key)
        || key.ends_with(PARTIAL_SUFFIX)
        || key.split('/').next() == Some(UPDATES)
}

/// The name of generation `number`.
#[must_use]
pub fn generation_name(number: u32) -> String {
    format!("{number:04}")
}

/// `path` with [`PARTIAL_SUFFIX`] behind its name.
#[must_use]
pub fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PARTIAL_SUFFIX);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volume_names_read_back() {
        assert_eq!(parse_volume_name(&archive_name("kit")), Some(("kit", None)));
        assert_eq!(parse_volume_name(&volume_name("kit", 2)), Some(("kit", Some(2))));
        assert_eq!(parse_volume_name(&volume_name("kit", 1234)), Some(("kit", Some(1234))));
        let incomplete = incomplete_name(&volume_name("kit", 2));
        assert_eq!(
            (parse_volume_name(&incomplete), parse_any_volume_name(&incomplete)),
            (None, Some(("kit", Some(2))))
        );
        assert_eq!(parse_any_volume_name(&archive_name("kit")), Some(("kit", None)));
        for name in ["kit.tar", ".tar.zst", "kit.tar.zst.0x1", "kit.tar.zst.000", "kit.tar.zst.1", "SHA256SUMS"] {
            assert_eq!(parse_volume_name(name), None, "{name}");
        }
    }

    #[test]
    fn names_of_recovery_volumes_read_back_and_are_not_volumes() {
        let name = recovery_name("kit", 12);
        assert_eq!(parse_recovery_name(&name), Some(("kit", 12)));
        assert!(parse_volume_name(&name).is_none() && !name.starts_with(&archive_name("kit")));
        for name in ["kit.recovery", "kit.recovery.1", "kit.recovery.000", ".recovery.001", "kit.tar.zst.001"] {
            assert_eq!(parse_recovery_name(name), None, "{name}");
        }
    }

    #[test]
    fn every_kind_has_a_folder() {
        let id = "a-part".parse().unwrap();
        let mut folders: Vec<_> = ComponentKind::ALL.iter().map(|kind| folder_of(*kind, &id).unwrap()).collect();
        folders.dedup();
        assert_eq!(folders.len(), ComponentKind::ALL.len());
    }
}
