//! What this reader accepts, every reader understands in the same way: names and sizes, to the last byte.

use crate::kit::{bundle_with, input};
use bundler::{PackInput, PackOptions, SigningKey};
use install::Bundle;
use manifest::{ArchivePlan, ByteSize, FileEntry, Inventory, Segment, Silent, layout};
use std::collections::BTreeMap;
use std::process::Command;
use testkit::sandbox::{Sandbox, noise};

type Listing = BTreeMap<String, u64>;

/// Names that programs stumble over: as long as a header holds and longer, all scripts, options, patterns, quotes.
fn contents() -> Vec<(String, Vec<u8>)> {
    let long = |length: usize| format!("parts/odds/{}", "n".repeat(length - 11));
    let names = [
        long(99),
        long(100),
        long(101),
        long(180),
        format!("parts/{}/{}", "d".repeat(80), "f".repeat(80)),
        "parts/odds/-rf".to_owned(),
        "parts/odds/it's (a) [test] {1} #2 100% ~x $HOME `id` & more;".to_owned(),
        "parts/odds/naïve Ångström 猫 Ж ﷽".to_owned(),
        "parts/odds/17 path=x".to_owned(),
        "parts/odds/@LongLink".to_owned(),
    ];
    let sized = |(at, name): (usize, String)| (name, noise(at as u64, at * 511));
    let mut all: Vec<_> = names.into_iter().enumerate().map(sized).collect();
    all.push(("parts/odds/two chunks.bin".to_owned(), noise(99, (4 << 20) + 1_500_001)));
    all
}

/// Runs a line of shell in the sandbox.
fn shell(sandbox: &Sandbox, line: &str) -> String {
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c", line]).current_dir(sandbox.root()).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    let output = command.output().expect("bash");
    assert!(output.status.success(), "`{line}`: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Reads lines of which field number `size` (from 0) is a size and everything behind field number `last` a name.
fn listing(text: &str, size: usize, last: usize) -> Listing {
    let line = |line: &str| {
        let mut rest = line;
        let mut fields = Vec::new();
        for _ in 0..=last {
            let (field, behind) = rest.trim_start().split_once(' ').unwrap();
            fields.push(field);
            rest = behind;
        }
        assert!(line.starts_with("-rw-r--r--"), "{line}");
        (rest.to_owned(), fields[size].parse().unwrap())
    };
    let found: Vec<_> = text.lines().map(line).collect();
    let listing: Listing = found.iter().cloned().collect();
    assert_eq!(listing.len(), found.len(), "a name stands there twice");
    listing
}

/// What the manifest says that the archive in `sandbox/bundle` holds.
fn ours(bundle: &Bundle<impl Sized>) -> Listing {
    let manifest = bundle.manifest();
    let signature = bundle.signature().map(|signature| signature.text().len() as u64);
    let plan = ArchivePlan::new(manifest, bundle.signature().map(|signature| signature.text()));
    let mut found = Listing::from([(layout::MANIFEST.to_owned(), manifest.to_json().len() as u64)]);
    found.extend(signature.map(|size| (layout::MANIFEST_SIGNATURE.to_owned(), size)));
    let mut member: Option<String> = None;
    for segment in plan.segments() {
        match segment {
            Segment::Header { file, .. } => {
                let entry: &FileEntry = &manifest.files[*file];
                let part = entry.carried.is_none().then(|| entry.path.to_string());
                member = part.clone();
                found.extend(part.map(|name| (name, 0)));
            }
            Segment::Chunk { file, index } => {
                let entry = &manifest.files[*file];
                let name = member.get_or_insert_with(|| layout::part_name(&entry.path, *index as u64)).clone();
                *found.entry(name).or_default() += entry.place(*index).unwrap().1;
            }
            _ => {}
        }
    }
    found
}

/// All readers list the bundle in `sandbox/bundle` alike.
fn all_agree(sandbox: &Sandbox) -> Listing {
    let bundle = Bundle::open(&sandbox.path("bundle")).unwrap();
    let expected = ours(&bundle);
    assert!(bundle.verify(1, &Silent).is_ok());
    shell(
        sandbox,
        "cat bundle/kit.tar.zst* > joined.tar.zst; for volume in bundle/*.zst*; do zstd -qt < $volume; done",
    );
    let gnu = shell(sandbox, "tar --zstd --quoting-style=literal --numeric-owner -tvf joined.tar.zst");
    assert_eq!(listing(&gnu, 2, 4), expected, "GNU tar");
    let bsd = shell(sandbox, "bsdtar --numeric-owner -tvf joined.tar.zst");
    assert_eq!(listing(&bsd, 4, 7), expected, "bsdtar");
    shell(sandbox, "zstd -qdf joined.tar.zst -o joined.tar; (cd bundle; sha256sum --quiet --strict -c SHA256SUMS)");
    let seven = shell(
        sandbox,
        "for seven in 7zz 7z 7za; do command -v $seven >&2 && break; done; $seven l -slt -ba joined.tar",
    );
    let fields = |name: &str| {
        let start = format!("{name} = ");
        seven.lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect::<Vec<_>>()
    };
    let sizes = fields("Size").into_iter().map(|size| size.parse().unwrap());
    assert_eq!(fields("Path").into_iter().zip(sizes).collect::<Listing>(), expected, "7-Zip");
    expected
}

#[test]
fn every_reader_lists_the_same_names_and_sizes() {
    let sandbox = Sandbox::new();
    let contents = contents();
    let input = input(&sandbox, "kit", &contents);
    let first = bundle_with(&sandbox, &input, PackOptions::default());
    let listed = all_agree(&sandbox);
    assert_eq!(listed.len(), contents.len() + 1);
    assert!(contents.iter().all(|(path, content)| listed[path] == content.len() as u64));

    // Signed, in several volumes.
    let key = SigningKey::parse(&SigningKey::generate(None).unwrap().secret, None).unwrap();
    let signed = PackInput { key: Some(&key), ..input.clone() };
    let volumes = PackOptions { volume_size: Some(ByteSize(5 << 20)), replace: true, ..PackOptions::default() };
    assert!(bundle_with(&sandbox, &signed, volumes).volumes.len() >= 2);
    assert_eq!(all_agree(&sandbox).len(), contents.len() + 2);
    let check = format!("minisign -V -P {} -m {}", key.public(), layout::MANIFEST);
    shell(&sandbox, &format!("mkdir signed; cd signed; bsdtar -xf ../joined.tar.zst; {check}"));

    // An update: one chunk of a file, a new one, and nothing of the others.
    let have = Inventory {
        format: Inventory::FORMAT,
        made_by: "test".to_owned(),
        bundle: "kit".to_owned(),
        sequence: 0,
        files: first.manifest.files,
    };
    let mut changed = contents.clone();
    let long = changed.last_mut().unwrap();
    long.1[4 << 20] ^= 1;
    let end = long.1[4 << 20..].to_vec();
    changed.push(("parts/odds/new.txt".to_owned(), b"new".to_vec()));
    let update = PackInput { have: Some(&have), ..crate::kit::input(&sandbox, "kit", &changed) };
    bundle_with(&sandbox, &update, PackOptions { replace: true, ..PackOptions::default() });
    let listed = all_agree(&sandbox);
    let names: Vec<&str> = listed.keys().map(String::as_str).collect();
    assert_eq!(names, [layout::MANIFEST, "parts/odds/new.txt", "updates/parts/odds/two chunks.bin.part-1"]);
    shell(&sandbox, "mkdir update; cd update; tar --zstd -xf ../joined.tar.zst");
    assert!(fs_err::read(sandbox.path(&format!("update/{}", names[2]))).unwrap() == end);
}
