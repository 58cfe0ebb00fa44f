//! Archives made by somebody who means harm: refused by name.

use crate::kit;
use crate::kit::unsigned;
use install::{Bundle, InstallOptions, install};
use manifest::frame::{VolumeEnd, VolumeHeader};
use manifest::{ArchivePlan, BundleManifest, Segment, Sha256, Silent};
use testkit::sandbox::Sandbox;
use zstd::zstd_safe::CParameter;

fn compressed(content: &[u8]) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
    compressor.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    compressor.compress(content).unwrap()
}

/// Writes an archive with valid headers and digests around frames that `change` may replace or multiply.
fn forge(sandbox: &Sandbox, change: impl Fn(Segment, Vec<u8>) -> Vec<Vec<u8>>) -> std::path::PathBuf {
    let contents = kit::short_contents(1);
    let report = kit::pack_into(sandbox, "honest", &kit::input(sandbox, "kit", &contents), None, 1);
    let manifest: &BundleManifest = &report.manifest;
    let plan = ArchivePlan::new(manifest, None);
    let header = VolumeHeader { bundle: manifest.id(), number: 1, first_frame: 0 };
    let mut volume = header.encode();
    let mut frames = 0;
    for segment in plan.segments() {
        let content = plan.literal(*segment).unwrap_or_else(|| match segment {
            Segment::Chunk { file, .. } => contents[*file].1.clone(),
            _ => unreachable!("a literal"),
        });
        for content in change(*segment, content) {
            volume.extend(compressed(&content));
            frames += 1;
        }
    }
    let sha256 = Sha256::of(&volume);
    volume.extend(VolumeEnd { bundle: manifest.id(), number: 1, last: true, next_frame: frames, sha256 }.encode());
    sandbox.write("forged/kit.tar.zst", &volume)
}

/// What installing says, and that nothing came of it.
fn refusal(sandbox: &Sandbox, archive: &std::path::Path) -> String {
    let home = kit::home(sandbox);
    let options = InstallOptions { home: home.clone(), trust: unsigned(), ..Default::default() };
    let error = install(&Bundle::open(archive).unwrap(), &options, &Silent).unwrap_err();
    assert!(install::current(&home).unwrap().is_none());
    assert!(Bundle::open(archive).unwrap().verify(1, &Silent).is_err());
    error.to_string()
}

/// A tar header that somebody else made.
fn header(kind: tar::EntryType, name: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(size);
    header.set_mode(0o777);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn an_honest_forgery_installs() {
    let sandbox = Sandbox::new();
    let archive = forge(&sandbox, |_, content| vec![content]);
    let options = InstallOptions { home: kit::home(&sandbox), trust: unsigned(), ..Default::default() };
    install(&Bundle::open(&archive).unwrap(), &options, &Silent).unwrap();
}

#[test]
fn links_devices_and_strangers_are_refused_by_name() {
    for (kind, name, said) in [
        (tar::EntryType::Symlink, "../../etc/passwd", "found a symbolic link `../../etc/passwd`"),
        (tar::EntryType::Link, "parts/odds/1.bin", "found a hard link `parts/odds/1.bin`"),
        (tar::EntryType::Char, "tty", "found a device `tty`"),
        (tar::EntryType::Fifo, "pipe", "found a pipe `pipe`"),
        (tar::EntryType::Directory, "folder", "found a folder `folder`"),
        (tar::EntryType::Regular, "/absolute", "found a file `/absolute` of 3002 bytes"),
    ] {
        let sandbox = Sandbox::new();
        let archive = forge(&sandbox, |segment, content| match segment {
            Segment::Header { file: 2, .. } => vec![header(kind, name, 3002)],
            _ => vec![content],
        });
        let refused = refusal(&sandbox, &archive);
        assert!(refused.contains("the tar header of `parts/odds/2.bin`") && refused.contains(said), "{refused}");
    }
}

#[test]
fn duplicates_and_additions_are_refused() {
    let sandbox = Sandbox::new();
    let twice = |segment, content: Vec<u8>| match segment {
        Segment::Header { file: 3, .. } => vec![content.clone(), content],
        _ => vec![content],
    };
    let refused = refusal(&sandbox, &forge(&sandbox, twice));
    assert!(refused.contains("`parts/odds/3.bin`"), "{refused}");

    let sandbox = Sandbox::new();
    let more = |segment, content: Vec<u8>| match segment {
        Segment::End => vec![content, header(tar::EntryType::Regular, "later", 0)],
        _ => vec![content],
    };
    let refused = refusal(&sandbox, &forge(&sandbox, more));
    assert!(refused.contains("the archive goes on where the manifest says that it ends"), "{refused}");
}

#[test]
fn content_of_another_size_or_another_content_is_refused() {
    for (content, said) in [
        (vec![0; 4 << 20], "4194304 bytes where the manifest expects 3001"),
        (vec![7; 3001], "it does not match the manifest"),
        (vec![], "0 bytes where the manifest expects 3001"),
    ] {
        let sandbox = Sandbox::new();
        let archive = forge(&sandbox, |segment, honest| match segment {
            Segment::Chunk { file: 1, .. } => vec![content.clone()],
            _ => vec![honest],
        });
        let refused = refusal(&sandbox, &archive);
        assert!(refused.contains(said), "{refused}");
    }
}
