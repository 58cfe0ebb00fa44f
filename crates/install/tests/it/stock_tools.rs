//! Whoever loses our program loses no data: stock tools open the archive bit for bit.
//!
//! Needs GNU tar, zstd, bsdtar (package libarchive-tools) and 7-Zip (package 7zip); `scripts/test` installs them.

use crate::kit;
use bundler::PackOptions;
use manifest::ByteSize;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::sandbox::Sandbox;
use zeekstd::{DecodeOptions, SeekTable};

/// Runs a line of shell in a folder.
fn shell(folder: &Path, line: &str) {
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c", line]).current_dir(folder).env("LC_ALL", "C.UTF-8").stdout(Stdio::null());
    let output = command.output().expect("bash");
    assert!(output.status.success(), "`{line}`: {}", String::from_utf8_lossy(&output.stderr));
}

/// Unpacks the bundle in `sandbox/bundle` with a line of shell and compares every byte.
fn opens_with(sandbox: &Sandbox, line: &str) {
    let target = sandbox.path("unpacked");
    fs_err::create_dir_all(&target).unwrap();
    shell(&target, line);
    let mut expected = kit::contents();
    expected.sort();
    assert!(kit::tree(&target, &["MANIFEST.json"]) == expected, "`{line}` gives something else");
    fs_err::remove_dir_all(&target).unwrap();
}

/// One bundle, four ways in: volumes joined by `cat` and by hand, and every volume alone.
#[test]
fn gnu_tar_bsdtar_and_7zip_open_it_bit_for_bit() {
    let sandbox = Sandbox::new();
    let report = kit::bundle(&sandbox);
    opens_with(&sandbox, "cat ../bundle/kit.tar.zst.* | tar --zstd -x");
    opens_with(&sandbox, "cat ../bundle/kit.tar.zst.* | bsdtar -x");
    opens_with(&sandbox, "cat ../bundle/kit.tar.zst.* > ../kit.tar.zst && tar -xf ../kit.tar.zst");
    // 7-Zip has three names, depending on who packaged it.
    opens_with(
        &sandbox,
        "for seven in 7zz 7z 7za; do command -v $seven && break; done && \
         $seven x -bso0 -o.. ../kit.tar.zst && $seven x -bso0 ../kit.tar && rm ../kit.tar",
    );
    for (name, _) in &report.volumes {
        shell(&report.folder, &format!("zstd -q -t < {name}"));
    }
    shell(&report.folder, "sha256sum --strict -c SHA256SUMS");
    shell(&report.folder, "test \"$(./fieldforge)\" = hello");
}

/// Recovery data, signature and seek table are nobody else's business, and the seek table is everybody's.
#[test]
fn recovery_data_and_seek_table_disturb_nobody() {
    let sandbox = Sandbox::new();
    let input = kit::input(&sandbox, "kit", &kit::contents());
    let options = PackOptions { volume_size: Some(ByteSize(7 << 20)), ..PackOptions::default() };
    let report = kit::bundle_with(&sandbox, &input, options);
    assert!(report.volumes.len() >= 2);
    for (name, _) in &report.volumes {
        shell(&report.folder, &format!("zstd -q -t < {name}"));
    }
    opens_with(&sandbox, "cat ../bundle/kit.tar.zst.* > ../kit.tar.zst && tar -xf ../kit.tar.zst");
    opens_with(&sandbox, "bsdtar -xf ../kit.tar.zst");
    shell(sandbox.root(), "zstd -q -d < kit.tar.zst > kit.tar");

    let archive = sandbox.path("kit.tar.zst");
    let table = SeekTable::from_seekable(&mut fs_err::File::open(&archive).unwrap().into_file()).unwrap();
    let tar = fs_err::read(sandbox.path("kit.tar")).unwrap();
    assert_eq!(table.size_decomp(), tar.len() as u64);
    let (from, to) = (tar.len() as u64 / 3, tar.len() as u64 / 3 + 100_000);
    let file = fs_err::File::open(&archive).unwrap().into_file();
    let mut decoder = DecodeOptions::new(file).offset(from).offset_limit(to).into_decoder().unwrap();
    let mut found = Vec::new();
    std::io::copy(&mut decoder, &mut found).unwrap();
    assert!(found == tar[from as usize..to as usize]);
}
