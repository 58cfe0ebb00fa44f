//! What is interrupted: one command each, what lies there before, and what must lie there after it.

use super::place::{Lab, copy};
use super::tree::{Tree, tree};
use bundler::{Content, PackFile, PackInput, PackOptions, pack};
use manifest::{ByteSize, Component, ComponentKind, Inventory, Needs, Sha256, Silent};
use std::path::{Path, PathBuf};
use testkit::sandbox::noise;
use testkit::server::{Behaviour, Server};

/// One command in a folder.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) args: Vec<String>,
    /// What lies there before.
    pub(crate) template: PathBuf,
    pub(crate) before: Tree,
    /// What lies there when nothing goes wrong.
    pub(crate) done: PathBuf,
    pub(crate) after: Tree,
}

/// All of them, and the server that one of them needs.
pub(crate) struct Scenarios {
    pub(crate) all: Vec<Scenario>,
    _server: Server,
}

impl Scenarios {
    pub(crate) fn new(lab: &Lab) -> Self {
        let server = Server::start();
        let mut all = vec![fetch(lab, &server)];
        let bundle = "bundle forge.toml --out kit --cache cache --no-sign --volume-size 160KiB";
        all.push(Scenario::new(lab, "bundle", bundle, requested));
        all.push(Scenario::new(lab, "bundle over another", &format!("{bundle} --replace"), |folder| {
            requested(folder);
            make_kit(&folder.join("kit"), 1, None);
        }));
        let install = "install kit --home home --allow-unsigned";
        all.push(Scenario::new(lab, "install", install, |folder| make_kit(&folder.join("kit"), 1, None)));
        let installed = |folder: &Path, editions: u64| {
            for edition in 1..=editions {
                let kit = folder.join("kit");
                make_kit(&kit, edition, None);
                lab.run(folder, &[], &["install", "kit", "--home", "home", "--allow-unsigned"]).expect_success();
                fs_err::remove_dir_all(kit).unwrap();
            }
        };
        all.push(Scenario::new(lab, "install over another", install, |folder| {
            installed(folder, 1);
            make_kit(&folder.join("kit"), 2, None);
        }));
        all.push(Scenario::new(lab, "update", install, |folder| {
            installed(folder, 1);
            let have = install::inventory(&folder.join("home")).unwrap();
            make_kit(&folder.join("kit"), 2, Some(&have));
        }));
        all.push(Scenario::new(lab, "roll back", "install --roll-back --home home", |folder| installed(folder, 2)));
        all.push(Scenario::new(lab, "gc", "gc --keep 0 --home home", |folder| installed(folder, 3)));
        all.push(Scenario::new(lab, "inventory", "inventory --home home --out have.json", |folder| {
            installed(folder, 1);
            fs_err::write(folder.join("have.json"), "an earlier one").unwrap();
        }));
        all.push(Scenario::new(lab, "repair", "repair kit", |folder| {
            make_kit(&folder.join("kit"), 1, None);
            for (name, at) in [("kit.tar.zst.001", 9_000), ("kit.tar.zst.002", 12_000), ("kit.tar.zst.002", 60_000)] {
                let path = folder.join("kit").join(name);
                let mut bytes = fs_err::read(&path).unwrap();
                bytes[at..at + 300].fill(0);
                fs_err::write(&path, bytes).unwrap();
            }
        }));
        Self { all, _server: server }
    }
}

impl Scenario {
    fn new(lab: &Lab, name: &'static str, args: &str, prepare: impl FnOnce(&Path)) -> Self {
        let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        let template = lab.folder();
        prepare(&template);
        let done = lab.copy_of(&template);
        lab.run(&done, &[], &args).expect_success();
        Self { name, args, before: tree(&template), after: tree(&done), template, done }
    }

    /// Does this command need the program that takes long to copy?
    pub(crate) fn is_slow(&self) -> bool {
        self.args.first().is_some_and(|command| command == "bundle")
    }
}

/// A bundle that comes over the wire: its faults are those of fetching.
fn fetch(lab: &Lab, server: &Server) -> Scenario {
    let args = "bundle forge.toml --out kit --cache cache --no-sign --trust-on-first-use";
    Scenario::new(lab, "fetch", args, |folder| {
        let long = noise(7, (2 << 20) + 77);
        let url = |name: &str, bytes: Vec<u8>| server.file(&format!("/{name}"), bytes, Behaviour::Honest);
        let known = format!("sha256 = \"{}\"", Sha256::of(&long));
        let request = format!(
            "name = \"kit\"\ninclude = []\n{}{}",
            component("long", &known, &format!("kind = \"https\", url = \"{}\"", url("long.bin", long))),
            component("short", "", &format!("kind = \"https\", url = \"{}\"", url("short.bin", noise(8, 9_000)))),
        );
        fs_err::write(folder.join("forge.toml"), request).unwrap();
    })
}

fn component(id: &str, more: &str, source: &str) -> String {
    format!(
        "\n[[component]]\nid = \"{id}\"\nkind = \"part\"\ntitle = \"{id}\"\nlicence = \"CC0-1.0\"\nfile = \"{id}.bin\"\n\
         {more}\nsources = [{{ {source} }}]\n"
    )
}

/// A request for files that lie beside it.
fn requested(folder: &Path) {
    let mut request = "name = \"kit\"\ninclude = []\n".to_owned();
    for (path, content) in contents(1) {
        let id = path.split(['/', '.']).nth(2).unwrap().to_owned();
        request += &component(&id, "", &format!("kind = \"file\", path = \"weights/{id}\""));
        fs_err::create_dir_all(folder.join("weights")).unwrap();
        fs_err::write(folder.join("weights").join(&id), content).unwrap();
    }
    fs_err::write(folder.join("forge.toml"), request).unwrap();
}

/// The files of an edition: some the same in all, some not, one in two chunks of which one stays.
pub(crate) fn contents(edition: u64) -> Vec<(String, Vec<u8>)> {
    let mut long = vec![0; 4 << 20];
    long.extend(noise(edition, 3000));
    vec![
        ("parts/odds/constant.bin".to_owned(), noise(100, 60_000)),
        ("parts/odds/empty.bin".to_owned(), Vec::new()),
        ("parts/odds/long.bin".to_owned(), long),
        ("parts/odds/renewed.bin".to_owned(), noise(200 + edition, 60_000)),
        ("parts/odds/text.txt".to_owned(), format!("edition {edition}\n").into_bytes()),
    ]
}

/// Packs an edition into volumes of 160 KiB.
pub(crate) fn make_kit(folder: &Path, edition: u64, have: Option<&Inventory>) {
    let volumes = pack_kit(folder, contents(edition), edition, have, 160 << 10);
    assert!(have.is_some() || volumes >= 2, "{volumes}");
}

/// Packs files, with a small script for a program. Answers how many volumes that gives.
pub(crate) fn pack_kit(
    folder: &Path,
    contents: Vec<(String, Vec<u8>)>,
    edition: u64,
    have: Option<&Inventory>,
    volume: u64,
) -> usize {
    let beside = tempfile::tempdir().unwrap();
    let program = beside.path().join("program");
    fs_err::write(&program, "#!/bin/sh\necho hello\n").unwrap();
    let id: manifest::ComponentId = "odds".parse().unwrap();
    let files = contents.into_iter().map(|(path, content)| PackFile {
        path: path.parse().unwrap(),
        component: id.clone(),
        size: content.len() as u64,
        sha256: Sha256::of(&content),
        surveyed: None,
        content: Content::Memory(content.leak()),
    });
    let input = PackInput {
        name: "kit",
        files: files.collect(),
        components: vec![Component {
            id: id.clone(),
            kind: ComponentKind::Part,
            family: None,
            title: "Odds and ends".to_owned(),
            licence: "CC0-1.0".to_owned(),
            sources: vec![],
            settings: None,
        }],
        default_model: None,
        self_test: None,
        needs: Needs { memory: 1 << 20, ..Needs::default() },
        programs: vec![(format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS), program)],
        made_by: "fieldforge test".to_owned(),
        sequence: edition,
        have,
        frozen: None,
        key: None,
    };
    let options =
        PackOptions { out: folder.to_path_buf(), volume_size: Some(ByteSize(volume)), ..PackOptions::default() };
    pack(&input, &options, &Silent).unwrap().volumes.len()
}

/// A fresh folder with what is there before.
pub(crate) fn begin(lab: &Lab, scenario: &Scenario) -> PathBuf {
    let folder = lab.folder();
    copy(&scenario.template, &folder);
    folder
}
