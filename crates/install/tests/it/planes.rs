//! Weights in byte planes: our installer, and whoever has nothing but tar, zstd and one of the decoders.

use crate::kit::{bundle_with, home, input, tree, unsigned};
use bundler::{PackInput, PackOptions, PackReport};
use install::{Bundle, InstallOptions, current, install, inventory, repair, verify_home};
use manifest::{Codec, Inventory, Silent, layout};
use std::path::Path;
use std::process::Command;
use testkit::damage::{Damage, damage};
use testkit::sandbox::{Sandbox, noise};

/// A safetensors file: its header, then weights.
fn model(header: &str, weights: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), weights].concat()
}

/// Weights: the sum of four uniform numbers is close enough to a normal distribution.
fn normal(seed: u64, count: usize) -> impl Iterator<Item = f32> {
    let noise = noise(seed, count * 8);
    let numbers: Vec<f32> = noise.as_chunks::<2>().0.iter().map(|two| f32::from(i16::from_le_bytes(*two))).collect();
    (0..count).map(move |at| numbers[at * 4..at * 4 + 4].iter().sum::<f32>() * 5.3e-7)
}

fn contents(header: &str) -> Vec<(String, Vec<u8>)> {
    let single: Vec<u8> = normal(3, 200_000).flat_map(f32::to_le_bytes).collect();
    let mut brain: Vec<u8> =
        normal(1, (5 << 20) / 2).flat_map(|weight| ((weight.to_bits() >> 16) as u16).to_le_bytes()).collect();
    brain.extend(b"tail!");
    vec![
        ("models/checkpoints/half.safetensors".to_owned(), model(header, &brain)),
        ("models/loras/noise.safetensors".to_owned(), model("{}", &noise(2, 300_000))),
        ("models/vae/single ü.safetensors".to_owned(), model("{}", &single)),
        ("parts/odds/text.txt".to_owned(), b"hello".to_vec()),
    ]
}

fn make(sandbox: &Sandbox, contents: &[(String, Vec<u8>)], have: Option<&Inventory>, planes: bool) -> PackReport {
    let input = PackInput { have, ..input(sandbox, "kit", contents) };
    bundle_with(sandbox, &input, PackOptions { replace: true, planes, ..PackOptions::default() })
}

fn size(report: &PackReport) -> u64 {
    report.volumes.iter().map(|(_, size)| size).sum()
}

/// Installs it, and compares every byte.
fn installs(sandbox: &Sandbox, contents: &[(String, Vec<u8>)]) {
    let bundle = Bundle::open(&sandbox.path("bundle")).unwrap();
    let (bundle, report) = bundle.verify(2, &Silent).map_err(|report| report.to_string()).unwrap();
    assert_eq!(report.bytes, bundle.manifest().carried_bytes());
    let options = InstallOptions { home: home(sandbox), trust: unsigned(), ..Default::default() };
    install(&bundle, &options, &Silent).unwrap();
    let generation = current(&home(sandbox)).unwrap().unwrap();
    for (path, content) in contents {
        assert!(fs_err::read(generation.folder.join(path)).unwrap() == *content, "{path} differs");
    }
    assert!(verify_home(&home(sandbox), 0, &Silent).unwrap().is_good());
}

fn codecs(report: &PackReport) -> Vec<Option<Codec>> {
    report.manifest.files.iter().map(|file| file.codec).collect()
}

#[test]
fn weights_get_smaller_and_come_back_bit_for_bit() {
    let sandbox = Sandbox::new();
    let contents = contents("{}");
    let plain = make(&sandbox, &contents, None, false);
    let plain_size = size(&plain);
    assert_eq!((plain.manifest.format, codecs(&plain)), (1, vec![None; 4]));
    let planes = make(&sandbox, &contents, None, true);
    assert!(size(&planes) * 100 < plain_size * 95, "{} of {plain_size}", size(&planes));
    let two = Some(Codec::Planes2);
    assert_eq!((planes.manifest.format, codecs(&planes)), (2, vec![two, None, Some(Codec::Planes4), None, None, None]));
    installs(&sandbox, &contents);
    // The same input gives the same bytes on any number of threads.
    let before = tree(&planes.folder, &[]);
    let options = PackOptions { replace: true, planes: true, threads: 1, ..PackOptions::default() };
    bundle_with(&sandbox, &input(&sandbox, "kit", &contents), options);
    assert!(tree(&planes.folder, &[]) == before);
}

#[test]
fn an_update_carries_parts_in_planes_and_the_decoders() {
    let sandbox = Sandbox::new();
    let first = contents("{}");
    make(&sandbox, &first, None, false);
    installs(&sandbox, &first);
    let have = inventory(&home(&sandbox)).unwrap();
    let mut second = contents("{\"a\":1}");
    let weights = second[0].1.len() - 100;
    second[0].1[weights..].fill(1);
    let report = make(&sandbox, &second, Some(&have), true);
    let carried = &report.manifest.files[0].carried;
    assert_eq!(carried.as_deref(), Some([(0, 1), (2, 3)].as_slice()), "the head, and the last piece of the weights");
    installs(&sandbox, &second);
    let have = inventory(&home(&sandbox)).unwrap();
    assert!(have.files.iter().all(|file| file.codec.is_none() && file.carried.is_none()));
    let report = make(&sandbox, &contents("{\"a\":2}"), Some(&have), true);
    let decoders: Vec<_> = report.manifest.files.iter().filter(|file| Codec::is_decoder(&file.path)).collect();
    assert!(decoders.len() == 2 && decoders.iter().all(|file| file.carried.is_none()));
    let target = sandbox.path("unpacked");
    shell(&sandbox.path("bundle"), &format!("mkdir '{0}' && tar --zstd -xf kit.tar.zst -C '{0}'", target.display()));
    shell(&target, "find . -name '*.planes' -exec python3 parts/unplanes/unplanes.py {} +");
    let header = fs_err::read(target.join("updates/models/checkpoints/half.safetensors.part-0")).unwrap();
    assert_eq!(header, model("{\"a\":2}", b""));
}

#[test]
fn damage_is_named_by_the_file_and_repaired() {
    let sandbox = Sandbox::new();
    let contents = contents("{}");
    let report = make(&sandbox, &contents, None, true);
    let before = tree(&report.folder, &[]);
    let volume = report.folder.join("kit.tar.zst");
    damage(&volume, Damage::FlippedBit { offset: 2_000_000, bit: 3 });
    let found = Bundle::open(&report.folder).unwrap().verify(2, &Silent).unwrap_err().to_string();
    assert!(found.starts_with("`models/checkpoints/half.safetensors`: damaged: 4.0 MiB at offset"), "{found}");
    // Behind a hole, the reader knows by their digests where it is again.
    damage(&volume, Damage::Zeroed { offset: 1_000_000, length: 50_000 });
    let found = Bundle::open(&report.folder).unwrap().verify(2, &Silent).unwrap_err();
    assert!(found.findings.len() <= 3 && found.bytes > 1 << 20, "{found}");
    assert!(repair(&report.folder, 2, &Silent).unwrap().now.is_good());
    assert!(tree(&report.folder, &[]) == before);
    installs(&sandbox, &contents);
}

fn shell(folder: &Path, line: &str) -> String {
    let output = Command::new("bash").args(["-o", "pipefail", "-c", line]).current_dir(folder).output().expect("bash");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "`{line}`: {said}");
    said
}

/// The lines that `START-HERE.txt` tells a finder, word for word.
#[test]
fn whoever_has_tar_and_a_decoder_gets_every_byte() {
    let sandbox = Sandbox::new();
    let contents = contents("{}");
    let report = make(&sandbox, &contents, None, true);
    let note = fs_err::read_to_string(report.folder.join(layout::START_HERE)).unwrap();
    let lines: Vec<&str> = note.lines().filter(|line| line.contains("-name '*.planes'")).map(str::trim).collect();
    assert_eq!(lines.len(), 2, "{note}");
    for line in lines {
        let target = sandbox.path("unpacked");
        fs_err::create_dir_all(&target).unwrap();
        shell(&target, "tar --zstd -xf ../bundle/kit.tar.zst");
        assert!(target.join("models/vae/single ü.safetensors.planes").exists());
        let strict = line.replace("cc -O2", "cc -std=c99 -pedantic -Wall -Wextra -Werror -O2");
        shell(&target, &strict);
        for (path, content) in &contents {
            assert!(fs_err::read(target.join(path)).unwrap() == *content, "{path} differs after `{line}`");
        }
        fs_err::remove_dir_all(&target).unwrap();
    }
}

/// A file that was cut off or damaged on its way makes a decoder say so; it never leaves a file under the right name.
#[test]
fn the_decoders_refuse_what_is_damaged() {
    let sandbox = Sandbox::new();
    for (name, text) in Codec::DECODERS {
        sandbox.write(name, text);
    }
    shell(sandbox.root(), "cc -g -fsanitize=address,undefined -fno-sanitize-recover -o unplanes unplanes.c");
    let original: Vec<u8> = (0..9_001u32).map(|n| n as u8).collect();
    for codec in [Codec::Planes2, Codec::Planes4] {
        let mut whole = codec.header(9_001, 11).to_vec();
        whole.extend(&original[..11]);
        codec.split(&original[11..], &mut whole);
        let mut cases = vec![whole[..0].to_vec(), whole[..31].to_vec(), whole[..40].to_vec(), whole[..9_000].to_vec()];
        cases.push([&whole[..], b"x"].concat());
        for (at, byte) in
            [(0, 1), (8, 200), (15, 255), (16, 255), (23, 128), (24, 0), (26, 0), (27, 255), (28, 0), (31, 9)]
        {
            let mut case = whole.clone();
            case[at] = byte;
            cases.push(case);
        }
        for program in ["./unplanes", "python3 unplanes.py"] {
            sandbox.write("good.bin.planes", &whole);
            shell(sandbox.root(), &format!("{program} good.bin.planes"));
            assert!(fs_err::read(sandbox.path("good.bin")).unwrap() == original);
            let line = format!("! {program} good.bin.planes; ! {program} unplanes.c; ! {program} missing.planes");
            assert!(!shell(sandbox.root(), &line).contains("ERROR:"), "what is there is not overwritten");
            assert!(fs_err::read(sandbox.path("good.bin")).unwrap() == original);
            fs_err::remove_file(sandbox.path("good.bin")).unwrap();
            // Processes take their time: what is wrong with the header is the same for both.
            for (at, case) in cases.iter().enumerate().filter(|_| codec == Codec::Planes2) {
                sandbox.write("bad.bin.planes", case);
                let said = shell(sandbox.root(), &format!("{program} bad.bin.planes || test $? -eq 1"));
                // A block of another length is no contradiction: the digest in the manifest finds it.
                let made = fs_err::read(sandbox.path("bad.bin"));
                assert!(!said.contains("anitizer") && !said.contains("Traceback"), "{program}, case {at}: {said}");
                assert!(made.is_err() == said.contains("bad.bin.planes: "), "{program}, case {at}: {said}");
                if made.is_ok() {
                    assert!(at >= 5, "{program}, case {at}");
                    fs_err::remove_file(sandbox.path("bad.bin")).unwrap();
                }
            }
        }
    }
}
