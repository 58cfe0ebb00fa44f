//! One step of the journey on its own, to measure it.
//!
//! ```text
//! carry pack FOLDER BUNDLE        carry verify BUNDLE        carry install BUNDLE HOME
//! ```

use bundler::{Content, PackFile, PackInput, PackOptions, pack};
use install::{Bundle, InstallOptions, install};
use manifest::{Component, ComponentKind, Needs, Sha256, Silent};
use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match arguments.iter().map(PathBuf::as_path).collect::<Vec<_>>().as_slice() {
        [step, folder, bundle] if *step == Path::new("pack") => carry(folder, bundle),
        [step, bundle] if *step == Path::new("verify") => {
            Bundle::open(bundle)?.verify(0, &Silent).map(drop).map_err(|report| report.to_string().into())
        }
        [step, bundle, home] if *step == Path::new("install") => {
            let options = InstallOptions {
                home: home.to_path_buf(),
                trust: install::Trust { allow_unsigned: true, ..Default::default() },
                ..Default::default()
            };
            install(&Bundle::open(bundle)?, &options, &Silent)?;
            Ok(())
        }
        _ => Err("usage: carry pack FOLDER BUNDLE | verify BUNDLE | install BUNDLE HOME".into()),
    }
}

/// Packs the files of a folder. Their digests are computed first, as a fetch would have done.
fn carry(folder: &Path, bundle: &Path) -> Result<(), Box<dyn Error>> {
    let id: manifest::ComponentId = "measured".parse()?;
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let source = entry?.path();
        let digests = source.with_extension("sha256");
        let Ok(sha256) = fs_err::read_to_string(&digests) else { continue };
        let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push(PackFile {
            path: format!("parts/measured/{name}").parse()?,
            component: id.clone(),
            size: fs_err::metadata(&source)?.len(),
            sha256: sha256.split_whitespace().next().unwrap_or_default().parse::<Sha256>()?,
            surveyed: None,
            content: Content::Disk(source),
        });
    }
    files.retain(|file| !file.path.as_str().ends_with(".sha256"));
    let component = Component {
        id,
        kind: ComponentKind::Part,
        family: None,
        title: "Measured".to_owned(),
        licence: "CC0-1.0".to_owned(),
        sources: vec![],
        settings: None,
    };
    let input = PackInput {
        name: "measured",
        files,
        components: vec![component],
        default_model: None,
        self_test: None,
        needs: Needs::default(),
        programs: vec![],
        made_by: "carry".to_owned(),
        sequence: 0,
        have: None,
        frozen: None,
        key: None,
    };
    let options = PackOptions { out: bundle.to_path_buf(), replace: true, ..PackOptions::default() };
    let report = pack(&input, &options, &Silent)?;
    if report.bytes == 0 {
        return Err("no FILE with a FILE.sha256 beside it (`sha256sum x.bin > x.sha256`) was found".into());
    }
    Ok(())
}
