//! Archives made by somebody who means harm: refused by name.

use crate::kit;
use crate::kit::unsigned;
use bundler::SigningKey;
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
        (tar::EntryType::Block, "sda", "found a device `sda`"),
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

/// Makes an honest archive whose table of contents is text that `change` has been at; signed if there is a key.
fn forge_manifest(
    sandbox: &Sandbox,
    key: Option<&SigningKey>,
    change: impl Fn(String) -> String,
) -> std::path::PathBuf {
    let report = kit::pack_into(sandbox, "honest", &kit::input(sandbox, "kit", &kit::short_contents(1)), None, 1);
    let text = change(String::from_utf8(report.manifest.to_json()).unwrap()).into_bytes();
    let plan = ArchivePlan::new(&report.manifest, None);
    let id = Sha256::of(&text);
    let mut volume = VolumeHeader { bundle: id, number: 1, first_frame: 0 }.encode();
    let mut content = vec![manifest::manifest_header(text.len() as u64)];
    content.extend(text.chunks(4 << 20).map(<[u8]>::to_vec));
    if let Some(key) = key {
        let signature = key.sign(&text, "kit", 1).unwrap();
        let mut header = vec![0; text.len().next_multiple_of(512) - text.len()];
        header.extend(tar_header("MANIFEST.json.minisig", signature.len() as u64));
        content.extend([header, signature.into_bytes()]);
    }
    content.extend(plan.literal(Segment::End));
    content.iter().for_each(|content| volume.extend(compressed(content)));
    let end =
        VolumeEnd { bundle: id, number: 1, last: true, next_frame: content.len() as u64, sha256: Sha256::of(&volume) };
    volume.extend(end.encode());
    sandbox.write("forged/kit.tar.zst", &volume)
}

/// A tar header as this program writes it.
fn tar_header(name: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// What opening such a bundle says: the same whether somebody signed it or not.
fn manifest_refusal(change: impl Fn(String) -> String) -> String {
    let key = SigningKey::parse(&SigningKey::generate(None).unwrap().secret, None).unwrap();
    let said = [None, Some(&key)].map(|key| {
        let sandbox = Sandbox::new();
        let archive = forge_manifest(&sandbox, key, &change);
        Bundle::open(&archive).unwrap_err().to_string()
    });
    assert_eq!(said[0], said[1]);
    said[0].clone()
}

#[test]
fn paths_that_would_do_harm_somewhere_are_refused_by_name_before_anything_is_read() {
    let renamed = |from: &str, to: &str| {
        let quoted = |path: &str| serde_json::to_string(path).unwrap();
        manifest_refusal(|text| text.replace(&quoted(from), &quoted(to)))
    };
    for (path, reason) in [
        ("../../etc/passwd", "climbs out"),
        ("parts/../../x", "climbs out"),
        ("parts/./x", "climbs out"),
        ("/etc/passwd", "absolute"),
        ("\\\\server\\share", "absolute"),
        ("C:/windows/x", "Windows forbids"),
        ("parts\\..\\x", "Windows forbids"),
        ("parts//x", "empty part"),
        ("parts/", "empty part"),
        ("", "it is empty"),
        ("parts/CON", "device name"),
        ("parts/nul.txt", "device name"),
        ("aux/x.bin", "device name"),
        ("parts/com\u{b9}.bin", "device name"),
        ("parts/x.", "ends with a dot"),
        ("parts/x /y", "space"),
        ("parts/ x", "space"),
        ("parts/x\0y", "control"),
        ("parts/x\ny", "control"),
        ("parts/x\u{202e}nib.exe", "invisible"),
        ("parts/x:stream", "Windows forbids"),
        ("parts/odds/0.bin", "there twice"),
        ("parts/odds/0.bin/x", "a file and a folder"),
    ] {
        let said = renamed("parts/odds/1.bin", path);
        assert!(said.contains(reason), "{path}: {said}");
        // Of a file and a folder of the same name, the file is named.
        let shown = path.trim_end_matches("/x").escape_debug().to_string();
        assert!(said.contains(path) || said.contains(&shown), "{path} is not named: {said}");
    }
    for (from, path, reason) in [
        ("parts/odds/0.bin", "MANIFEST.json", "belongs to the bundle itself"),
        ("parts/odds/5.bin", "receipt.json", "belongs to the bundle itself"),
        ("parts/odds/5.bin", "parts/x.part", "belongs to the bundle itself"),
        ("parts/odds/5.bin", "parts/odds/4.bin ", "space"),
        ("parts/odds/0.bin", "PARTS/odds/5.bin", "ignores case"),
        ("parts/odds/5.bin", "parts/ODDS", "out of order"),
    ] {
        let said = renamed(from, path);
        assert!(said.contains(reason) && said.contains(path), "{path}: {said}");
    }
    let deep = "a/".repeat(2_000) + "x";
    assert!(manifest_refusal(|text| text.replace("parts/odds/1.bin", &deep)).contains("longer than 180 bytes"));
}

#[test]
fn sizes_that_nobody_has_are_refused() {
    let sized = |size: &str| manifest_refusal(|text| text.replace("\"size\": 3001", &format!("\"size\": {size}")));
    assert!(sized("9223372036854775807").contains("`parts/odds/1.bin` has 9223372036854775807 bytes"));
    assert!(sized("18446744073709551616").contains("MANIFEST.json"));
    assert!(sized("-1").contains("MANIFEST.json"));
    assert!(sized("0").contains("`parts/odds/1.bin` has 0 bytes, so 0 chunks, but 1 digests"));
    // A million members: a table of contents of that size is not even read.
    let sandbox = Sandbox::new();
    let million = manifest::manifest_header(150 << 20);
    let header = VolumeHeader { bundle: Sha256::of(b""), number: 1, first_frame: 0 }.encode();
    let archive = sandbox.write("forged/kit.tar.zst", &[header, compressed(&million)].concat());
    let said = Bundle::open(&archive).unwrap_err().to_string();
    assert!(said.contains("its `MANIFEST.json` claims to have 157286400 bytes"), "{said}");
}

/// One member with its content and padding.
fn member(kind: tar::EntryType, name: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind, name, content.len() as u64);
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// What two readers of tar files understand differently, is what no reader of ours believes.
#[test]
fn headers_that_other_programs_read_differently_are_refused_by_name() {
    use tar::EntryType::{GNULongLink, GNULongName, GNUSparse, XGlobalHeader, XHeader};
    let record = |text: &str| format!("{} {text}\n", text.len() + 4).into_bytes();
    for (trick, said) in [
        (member(XHeader, "PaxHeader", &record("path=../../evil")), "an extended header that says `19 path=../../evil"),
        (member(XGlobalHeader, "g", &record("path=/etc/cron.d")), "an extended header that says `20 path=/etc/cron.d"),
        (member(XHeader, "PaxHeader", &record("size=99999999")), "an extended header that says `17 size=99999999"),
        (member(XHeader, "x", &record("linkpath=/etc")), "an extended header that says `17 linkpath=/etc"),
        (member(GNULongName, "././@LongLink", b"../../evil\0"), "a long name `../../evil`"),
        (member(GNULongLink, "././@LongLink", b"/etc/passwd\0"), "a link to a long name `/etc/passwd`"),
        (header(GNUSparse, "parts/odds/2.bin", 3002), "a file with holes `parts/odds/2.bin`"),
        (header(tar::EntryType::Regular, "parts/odds/2.bin", 99), "a file `parts/odds/2.bin` of 99 bytes"),
        (header(tar::EntryType::Regular, "parts/odds/2.BIN", 3002), "a file `parts/odds/2.BIN`"),
        (vec![0; 1024], "the end of the archive"),
    ] {
        for with_honest in [true, false] {
            let sandbox = Sandbox::new();
            let archive = forge(&sandbox, |segment, content| match segment {
                Segment::Header { file: 2, .. } if with_honest => {
                    let (padding, honest) = content.split_at(content.len() % 512);
                    vec![[padding, &trick, honest].concat()]
                }
                Segment::Header { file: 2, .. } => vec![trick.clone()],
                _ => vec![content],
            });
            let refused = refusal(&sandbox, &archive);
            let zeros = trick.iter().all(|byte| *byte == 0) && with_honest;
            assert!(refused.contains("the tar header of `parts/odds/2.bin`"), "{refused}");
            assert!(refused.contains(said) || zeros, "{said}: {refused}");
        }
    }
}

/// Frames that lie about themselves, put where the first file's chunk should be.
#[test]
fn frames_that_lie_or_ask_for_too_much_are_refused_by_name() {
    let sandbox = Sandbox::new();
    let contents = kit::short_contents(1);
    let report = kit::pack_into(&sandbox, "honest", &kit::input(&sandbox, "kit", &contents), None, 1);
    let honest = compressed(&contents[0].1);
    assert_eq!(honest[4], 0x64, "one segment, two bytes of size, a checksum");
    let body = |from: usize| honest[from..].to_vec();
    let frame = |head: &[u8], rest: Vec<u8>| [&honest[..4], head, &rest].concat();
    let size = [honest[5], honest[6]];
    let bomb = compressed(&vec![0; 4 << 20]);
    for (frame, said) in [
        (frame(&[0x64, size[0], size[1] ^ 1], body(7)), "bytes where the manifest expects 3000"),
        (frame(&[0x44, 0xf8, size[0], size[1]], body(7)), "more memory than any frame of ours"),
        (frame(&[0x65, 7, size[0], size[1]], body(7)), "compressed with a dictionary"),
        (frame(&[0x6c, size[0], size[1]], body(7)), "a reserved bit set"),
        (frame(&[0x60, size[0], size[1]], body(7)[..honest.len() - 11].to_vec()), "carries no checksum"),
        (frame(&[0xe4, 0, 0, 0, 0, 0, 0, 0, 1], body(7)), "claims to hold more than one chunk"),
        (frame(&[0x64, size[0], size[1]], [&[0xff, 0xff, 0xff], &body(10)[..]].concat()), "a block of an unknown kind"),
        ([&bomb[..6], &[0xb8, 0x0b, 0, 0], &bomb[10..]].concat(), "does not decompress"),
        (bomb.clone(), "4194304 bytes where the manifest expects 3000"),
        (b"\x5f\x2a\x4d\x18\xff\xff\xff\xff".to_vec(), "`parts/odds/0.bin`"),
    ] {
        let plan = ArchivePlan::new(&report.manifest, None);
        let mut volume = VolumeHeader { bundle: report.manifest.id(), number: 1, first_frame: 0 }.encode();
        for segment in plan.segments() {
            volume.extend(match segment {
                Segment::Chunk { file: 0, .. } => frame.clone(),
                Segment::Chunk { file, .. } => compressed(&contents[*file].1),
                _ => compressed(&plan.literal(*segment).unwrap()),
            });
        }
        let next_frame = plan.segments().len() as u64;
        let sha256 = Sha256::of(&volume);
        volume.extend(VolumeEnd { bundle: report.manifest.id(), number: 1, last: true, next_frame, sha256 }.encode());
        let archive = sandbox.write("forged/kit.tar.zst", &volume);
        let refused = refusal(&sandbox, &archive);
        assert!(refused.contains(said), "{said}: {refused}");
        assert!(refused.contains("kit.tar.zst") || refused.contains("parts/odds/0.bin"), "{refused}");
        let _ = fs_err::remove_dir_all(kit::home(&sandbox));
    }
}

/// The same file, and two programs see two different archives in it: GNU tar takes a global header's path for that of every
/// member behind it, bsdtar does not.
#[test]
fn an_archive_that_lists_differently_in_bsdtar_is_refused_by_name() {
    let trick = member(tar::EntryType::XGlobalHeader, "g", b"17 path=evil.txt\n");
    let sandbox = Sandbox::new();
    let archive = forge(&sandbox, |segment, content| match segment {
        Segment::Header { file: 2, .. } => {
            let (padding, honest) = content.split_at(content.len() % 512);
            vec![[padding, &trick, honest].concat()]
        }
        _ => vec![content],
    });
    let listing = |line: &str| {
        let output = std::process::Command::new("bash").args(["-c", line, "bash"]).arg(&archive).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (gnu, bsd) = (listing("tar --zstd -tf \"$1\""), listing("bsdtar -tf \"$1\""));
    assert!(gnu.contains("evil.txt") && !bsd.contains("evil.txt"), "GNU tar:\n{gnu}bsdtar:\n{bsd}");
    assert!(gnu.contains("parts/odds/1.bin") && bsd.contains("parts/odds/2.bin"), "GNU tar:\n{gnu}bsdtar:\n{bsd}");
    let refused = refusal(&sandbox, &archive);
    assert!(refused.contains("`parts/odds/2.bin`") && refused.contains("17 path=evil.txt"), "{refused}");
}
