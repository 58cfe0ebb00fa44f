//! What is interrupted: one command each, what lies there before, and what must lie there after it.

use super::place::{Ended, Lab, copy};
use super::tree::{Tree, tree};
use bundler::{Content, PackFile, PackInput, PackOptions, pack};
use manifest::{ByteSize, Component, ComponentKind, Inventory, Needs, Sha256, Silent};
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::sandbox::noise;
use testkit::server::{Behaviour, Server};

/// A model that can be drawn with.
const SPARK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/spark/spark.safetensors");

/// One command in a folder.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Words before the program and whatever watches it, if it needs disks of its own.
    pub(crate) around: Vec<String>,
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
                damage(&folder.join("kit").join(name), at);
            }
        }));
        all.push(Scenario::new(lab, "recovery volumes", &format!("{bundle} --recovery-volumes 2"), requested));
        all.push(Scenario::new(lab, "repair a lost volume", "repair kit", |folder| {
            requested(folder);
            let packed = format!("{bundle} --recovery-volumes 2");
            lab.run(folder, &[], &packed.split(' ').collect::<Vec<_>>()).expect_success();
            damage(&folder.join("kit/kit.tar.zst.001"), 9_000);
            for lost in ["kit/kit.tar.zst.002", "kit/kit.recovery.001"] {
                fs_err::remove_file(folder.join(lost)).unwrap();
            }
        }));
        let import = "import forge --home home";
        all.push(Scenario::new(lab, "import", import, |folder| {
            installed(folder, 1);
            other_program(folder);
            let model = folder.join("forge/models/Stable-diffusion");
            fs_err::copy(SPARK, model.join("my model.safetensors")).unwrap();
            fs_err::write(model.join("my model.txt"), "drawn by hand\n").unwrap();
        }));
        all.push(Scenario::new(lab, "import, whole", "import forge --whole --out kit --no-sign", other_program));
        let backup = "backup --home home --out kit --no-sign";
        let home = |folder: &Path| {
            installed(folder, 1);
            other_program(folder);
            lab.run(folder, &[], &import.split(' ').collect::<Vec<_>>()).expect_success();
            fs_err::remove_dir_all(folder.join("forge")).unwrap();
        };
        all.push(Scenario::new(lab, "backup", backup, home));
        let frozen = |folder: &Path| {
            home(folder);
            lab.run(folder, &[], &backup.split(' ').collect::<Vec<_>>()).expect_success();
            for at in 0..4 {
                let new = folder.join(format!("home/outputs/imported/new{at}.png"));
                fs_err::write(new, noise(300 + at, 50_000)).unwrap();
            }
            fs_err::remove_file(folder.join("home/imported/a1111/styles.csv")).unwrap();
        };
        let later = "backup --home home --out kit-2 --have kit --no-sign --volume-size 130KB";
        all.push(Scenario::new(lab, "backup of what is new", later, frozen));
        all.push(Scenario::new(lab, "restore", "restore kit-2 kit --to back --allow-unsigned", |folder| {
            frozen(folder);
            lab.run(folder, &[], &later.split(' ').collect::<Vec<_>>()).expect_success();
            fs_err::remove_dir_all(folder.join("home")).unwrap();
        }));
        all.extend(sticks(lab));
        Self { all, _server: server }
    }

    /// Those that need no disks of their own.
    pub(crate) fn plain(&self) -> impl Iterator<Item = &Scenario> {
        self.all.iter().filter(|scenario| scenario.around.is_empty())
    }
}

impl Scenario {
    fn new(lab: &Lab, name: &'static str, args: &str, prepare: impl FnOnce(&Path)) -> Self {
        Self::around(lab, name, Vec::new(), args, prepare)
    }

    fn around(lab: &Lab, name: &'static str, around: Vec<String>, args: &str, prepare: impl FnOnce(&Path)) -> Self {
        let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        let template = lab.folder();
        prepare(&template);
        let done = lab.copy_of(&template);
        let mut scenario = Self { name, around, args, before: tree(&template), after: Tree::new(), template, done };
        scenario.run(lab, &scenario.done, &[]).expect_success();
        scenario.after = tree(&scenario.done);
        scenario
    }

    /// Runs the command, behind the words of another one that watches it.
    pub(crate) fn run(&self, lab: &Lab, folder: &Path, before: &[String]) -> Ended {
        lab.run(folder, &[&self.around, before].concat(), &self.args)
    }

    /// Does this command need the program that takes long to copy?
    pub(crate) fn is_slow(&self) -> bool {
        self.args.first().is_some_and(|command| ["backup", "bundle"].contains(&command.as_str()))
    }

    /// Does it write into volumes that are there already?
    pub(crate) fn repairs(&self) -> bool {
        self.args.first().is_some_and(|command| command == "repair")
    }
}

/// Packing onto two sticks of which the first one is too small, and installing from both. Nothing where users may not
/// mount disks.
fn sticks(lab: &Lab) -> Vec<Scenario> {
    let possible = Command::new("unshare").args(["-Urm", "true"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return Vec::new();
    }
    let program = fs_err::metadata(lab.program()).unwrap().len();
    // What lies on the sticks is kept in folders, because they are gone when the last program in there ends.
    let script = format!(
        "mkdir -p a b
        mount -t tmpfs -o size={} none a
        mount -t tmpfs -o size={} none b
        for n in a:kit b:kit-2; do [ ! -d ${{n#*:}} ] || cp -a ${{n#*:}} ${{n%:*}}/kit; done
        \"$0\" \"$@\" && code=0 || code=$?
        for n in a:kit b:kit-2; do [ ! -d ${{n%:*}}/kit ] || {{ rm -rf ${{n#*:}}; cp -a ${{n%:*}}/kit ${{n#*:}}; }}; done
        [ $code -ne 137 ] || kill -KILL $$
        exit $code",
        program + (1 << 20) + (1 << 19),
        program + (4 << 20),
    );
    let around: Vec<String> = ["unshare", "-Urm", "sh", "-ec", &script].map(str::to_owned).into();
    let args = "bundle forge.toml --out a/kit --next b/kit --cache cache --no-sign --volume-size 400KB";
    let packed = Scenario::around(lab, "bundle on two sticks", around, args, large);
    let install =
        Scenario::new(lab, "install from two sticks", "install kit-2 kit --home home --allow-unsigned", |folder| {
            for kit in ["kit", "kit-2"] {
                copy(&packed.done.join(kit), &folder.join(kit));
            }
        });
    vec![packed, install]
}

/// Puts zeros into a file.
fn damage(path: &Path, at: usize) {
    let mut bytes = fs_err::read(path).unwrap();
    bytes[at..at + 300].fill(0);
    fs_err::write(path, bytes).unwrap();
}

/// A folder of AUTOMATIC1111's web UI: a LoRA, styles and pictures.
fn other_program(folder: &Path) {
    let write = |name: &str, content: &[u8]| {
        let path = folder.join("forge").join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    };
    write("webui.py", b"");
    write("models/Stable-diffusion/Put Stable Diffusion checkpoints here.txt", b"");
    write("config.json", b"{\"outdir_samples\": \"\", \"outdir_txt2img_samples\": \"outputs/txt2img-images\"}");
    write("styles.csv", b"name,prompt,negative_prompt\nold,oil,photo\n");
    let header = "{\"lora_unet_x.lora_down.weight\":{\"dtype\":\"F16\",\"shape\":[2,8],\"data_offsets\":[0,32]}}";
    write("models/Lora/ink.safetensors", &[&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 32]].concat());
    write("outputs/txt2img-images/2024-05-01/00001-1.png", &noise(311, 70_000));
    write("outputs/txt2img-images/2024-05-01/00002-2.png", &noise(312, 900));
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
    request(folder, contents(1));
}

/// A request for more than fits a small stick.
fn large(folder: &Path) {
    let files = (0..6).map(|at| (format!("parts/odds/{at}.bin"), noise(400 + at, 250_000)));
    request(folder, files.collect());
}

fn request(folder: &Path, files: Vec<(String, Vec<u8>)>) {
    let mut request = "name = \"kit\"\ninclude = []\n".to_owned();
    for (path, content) in files {
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
