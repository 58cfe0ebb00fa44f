//! Imports: all or nothing, continued after an interruption, never twice, and kept by the next bundle.

use crate::kit::{home, input, pack_into, unsigned};
use install::{
    Bundle, ImportError, ImportOptions, ImportPlan, ImportReport, InstallOptions, Judgement, Reason, Unfit, current,
    import, install, roll_back, verify_home,
};
use manifest::{ComponentKind, Silent};
use std::path::Path;
use testkit::sandbox::{Sandbox, noise};

/// Takes every file for a LoRA, unless its first byte says otherwise.
fn judge(path: &Path, place: Option<ComponentKind>) -> Result<Judgement, Unfit> {
    let start = fs_err::read(path).unwrap_or_default().first().copied();
    let kind = Some(place.unwrap_or(ComponentKind::Lora));
    match start {
        None => Err(Unfit::Broken { reason: "it is empty".to_owned() }),
        Some(b'P') => Err(Unfit::Pickle),
        Some(_) => Ok(Judgement { kind, family: None, usable: true, description: "a LoRA".to_owned() }),
    }
}

fn as_it_is(_: &[u8], _: Option<&str>) -> Option<Vec<u8>> {
    None
}

fn options(sandbox: &Sandbox) -> ImportOptions {
    ImportOptions { home: home(sandbox), outputs: true, ..ImportOptions::default() }
}

fn plan(sandbox: &Sandbox, folder: &str) -> Result<ImportPlan, ImportError> {
    ImportPlan::new(&sandbox.path(folder), &options(sandbox), &judge, &Silent)
}

fn run(sandbox: &Sandbox, folder: &str) -> Result<ImportReport, ImportError> {
    import(&plan(sandbox, folder)?, &options(sandbox), &as_it_is, &Silent)
}

/// The installed files, by name.
fn installed(sandbox: &Sandbox) -> Vec<String> {
    let generation = current(&home(sandbox)).unwrap().unwrap();
    assert!(verify_home(&home(sandbox), 0, &Silent).unwrap().is_good());
    generation.manifest.files.iter().map(|file| file.path.to_string()).collect()
}

#[test]
fn what_was_interrupted_goes_on_and_is_compared_first() {
    let sandbox = Sandbox::new();
    for (name, seed) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        sandbox.write(&format!("from/{name}.safetensors"), &noise(seed, 5 << 20));
    }
    let broken = plan(&sandbox, "from").unwrap();
    fs_err::rename(sandbox.path("from/d.safetensors"), sandbox.path("away")).unwrap();
    let error = import(&broken, &options(&sandbox), &as_it_is, &Silent).unwrap_err();
    assert!(matches!(&error, ImportError::Unreadable { path, .. } if path.ends_with("d.safetensors")), "{error}");
    assert!(error.hint().is_some());
    assert!(current(&home(&sandbox)).unwrap().is_none(), "nothing is in use");
    assert!(!home(&sandbox).join("generations/0001").exists());

    // One of the copies goes bad, one original is replaced: both are copied again, the third is not.
    let staged = home(&sandbox).join("generations/0001.part/models/loras");
    let mut bytes = fs_err::read(staged.join("b.safetensors")).unwrap();
    bytes[4_500_000] ^= 1;
    fs_err::write(staged.join("b.safetensors"), bytes).unwrap();
    fs_err::remove_file(sandbox.path("from/c.safetensors")).unwrap();
    sandbox.write("from/c.safetensors", &noise(5, 5 << 20));
    fs_err::rename(sandbox.path("away"), sandbox.path("from/d.safetensors")).unwrap();
    let report = run(&sandbox, "from").unwrap();
    assert_eq!((report.generation, report.models, report.bytes), (Some(1), 4, 15 << 20));
    assert_eq!(installed(&sandbox).len(), 4);
    for name in ["a", "b", "c", "d"] {
        let name = format!("{name}.safetensors");
        let here = fs_err::read(home(&sandbox).join("generations/0001/models/loras").join(&name)).unwrap();
        assert!(here == fs_err::read(sandbox.path("from").join(name)).unwrap());
    }
    let left = Sandbox::files_below(&home(&sandbox).join("generations"));
    assert!(!left.iter().any(|name| name.contains("journal") || name.contains(".part")), "{left:?}");
}

#[test]
fn what_changes_between_plan_and_import_is_noticed() {
    let sandbox = Sandbox::new();
    sandbox.write("from/a.safetensors", &noise(1, 900));
    let before = plan(&sandbox, "from").unwrap();
    sandbox.write("from/a.safetensors", &noise(1, 901));
    let error = import(&before, &options(&sandbox), &as_it_is, &Silent).unwrap_err();
    assert!(matches!(error, ImportError::Changed { expected: 900, found: 901, .. }), "{error}");
    let before = plan(&sandbox, "from").unwrap();
    run(&sandbox, "from").unwrap();
    let error = import(&before, &options(&sandbox), &as_it_is, &Silent).unwrap_err();
    assert!(matches!(error, ImportError::HomeChanged { .. }), "{error}");
    assert!(plan(&sandbox, "from").unwrap().models.is_empty(), "what is installed is not imported again");
}

#[test]
fn hostile_and_unlucky_names_come_along_under_portable_ones() {
    let sandbox = Sandbox::new();
    let long = "ü".repeat(110);
    for (at, name) in
        ["one/x", "two/x", "three/X", "one/CON", "one/a: b?", "one/trailing ", &long, "one/x.y", "e\u{301}", "\u{202e}"]
            .iter()
            .enumerate()
    {
        sandbox.write(&format!("from/{name}.safetensors"), &noise(at as u64 + 1, 400));
    }
    sandbox.write("from/one/x.json", b"{\"of\": \"x\"}");
    sandbox.write("from/one/x.y.json", b"{\"of\": \"x.y\"}");
    sandbox.write("from/one/empty.safetensors", b"");
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let name = std::ffi::OsStr::from_bytes(b"not \xff Unicode.safetensors");
        fs_err::write(sandbox.path("from").join(name), noise(77, 400)).unwrap();
    }
    let plan = plan(&sandbox, "from").unwrap();
    let text = plan.to_string();
    assert!(text.contains("`a: b?` is called `a_ b_` here"), "{text}");
    assert!(!text.contains('\u{202e}'), "nothing turns a terminal around");
    assert!(plan.left.iter().any(|left| left.reason == Reason::Broken("it is empty".to_owned())), "{text}");
    import(&plan, &options(&sandbox), &as_it_is, &Silent).unwrap();
    let files = installed(&sandbox);
    let weights = if cfg!(unix) { 11 } else { 10 };
    assert_eq!(files.len(), weights + 2, "{files:#?}");
    for name in ["CON", "a_ b_", "_CON", "X-2", "x-3"].map(|name| format!("models/loras/{name}.safetensors")) {
        assert_eq!(files.contains(&name), !name.contains("/CON"), "{name} in {files:#?}");
    }
    let folder = current(&home(&sandbox)).unwrap().unwrap().folder;
    assert_eq!(fs_err::read(folder.join("models/loras/x.y.json")).unwrap(), b"{\"of\": \"x.y\"}");
}

#[test]
fn hundreds_of_files_are_no_trouble() {
    let sandbox = Sandbox::new();
    for at in 0..200_u64 {
        sandbox.write(&format!("webui/models/Lora/{}/lora {at}.safetensors", at % 7), format!("lora {at}").as_bytes());
        sandbox.write(&format!("webui/outputs/txt2img-images/{at:05}.png"), &noise(at + 9, 32));
    }
    sandbox.write("webui/models/Stable-diffusion/old.ckpt", b"PK");
    let report = run(&sandbox, "webui").unwrap();
    assert_eq!((report.models, report.kept), (200, 200));
    assert_eq!(installed(&sandbox).len(), 200);
    let again = plan(&sandbox, "webui").unwrap();
    assert!(again.models.is_empty());
    assert!(again.to_string().lines().count() < 40, "a long list is cut:\n{again}");
    let report = import(&again, &options(&sandbox), &as_it_is, &Silent).unwrap();
    assert_eq!((report.generation, report.kept, report.kept_before), (None, 0, 200));
}

#[test]
fn pictures_are_never_overwritten() {
    let sandbox = Sandbox::new();
    let picture = "outputs/txt2img-images/1.png";
    sandbox.write("webui/models/Stable-diffusion/a.safetensors", b"a");
    sandbox.write(&format!("webui/{picture}"), b"first");
    run(&sandbox, "webui").unwrap();
    sandbox.write(&format!("webui/{picture}"), b"second");
    for expected in [1, 0] {
        assert_eq!(run(&sandbox, "webui").unwrap().kept, expected);
    }
    // Two folders of the same name: both pictures come along.
    for (disk, content) in [("one", b"third"), ("two", b"forth")] {
        sandbox.write(&format!("{disk}/pictures/2.png"), content);
    }
    let config = format!(
        "{{\"outdir_grids\": {:?}, \"outdir_save\": {:?}}}",
        sandbox.path("one/pictures"),
        sandbox.path("two/pictures")
    );
    sandbox.write("webui/config.json", config.as_bytes());
    assert_eq!(run(&sandbox, "webui").unwrap().kept, 3);
    let pictures = home(&sandbox).join("outputs/imported/a1111/pictures");
    assert_eq!(Sandbox::files_below(&pictures), ["2-2.png", "2.png"]);
    let folder = home(&sandbox).join("outputs/imported/a1111/outputs/txt2img-images");
    assert_eq!(fs_err::read(folder.join("1.png")).unwrap(), b"first");
    assert_eq!(fs_err::read(folder.join("1-2.png")).unwrap(), b"second");
}

#[test]
fn the_next_bundle_leaves_imported_models_where_they_are() {
    let sandbox = Sandbox::new();
    let bundle = |contents: &[(String, Vec<u8>)], out: &str| {
        pack_into(&sandbox, out, &input(&sandbox, "kit", contents), None, 2);
        let options = InstallOptions { home: home(&sandbox), trust: unsigned(), ..Default::default() };
        install(&Bundle::open(&sandbox.path(out)).unwrap(), &options, &Silent).unwrap()
    };
    bundle(&[("models/loras/old.safetensors".to_owned(), noise(1, 500))], "kit1");
    sandbox.write("from/mine.safetensors", &noise(2, 700));
    sandbox.write("from/taken.safetensors", &noise(3, 800));
    run(&sandbox, "from").unwrap();
    assert_eq!(installed(&sandbox).len(), 3);
    // The new bundle has a file of its own in one of the places.
    let new = [
        ("models/loras/new.safetensors".to_owned(), noise(4, 500)),
        ("models/loras/taken.safetensors".to_owned(), noise(5, 9)),
    ];
    let receipt = bundle(&new, "kit2");
    assert_eq!(receipt.imported.iter().map(ToString::to_string).collect::<Vec<_>>(), ["mine"]);
    let expected = ["models/loras/mine.safetensors", "models/loras/new.safetensors", "models/loras/taken.safetensors"];
    assert_eq!(installed(&sandbox), expected);
    let receipt = bundle(&new, "kit3");
    assert!(receipt.imported.len() == 1 && installed(&sandbox) == expected, "it stays with every further one");
    roll_back(&home(&sandbox)).unwrap();
    roll_back(&home(&sandbox)).unwrap();
    assert_eq!(installed(&sandbox).len(), 3, "back before the bundle");
    roll_back(&home(&sandbox)).unwrap();
    assert_eq!(installed(&sandbox), ["models/loras/old.safetensors"], "back before the import");
}

#[test]
fn what_the_database_of_invokeai_tells_is_believed_as_far_as_it_goes() {
    let sandbox = Sandbox::new();
    sandbox.write("invoke/invokeai.yaml", b"schema_version: 4.0.2\n");
    sandbox.write("invoke/models/1b2c/pytorch_lora_weights.safetensors", b"ink");
    sandbox.write("invoke/models/9f/x.safetensors", b"style");
    sandbox.write("far away/mine.safetensors", b"mine");
    for name in ["a", "b", "c", "d"] {
        sandbox.write(&format!("invoke/outputs/images/{name}.png"), name.as_bytes());
    }
    sandbox.write("invoke/databases/.keep", b"");
    let database = rusqlite::Connection::open(sandbox.path("invoke/databases/invokeai.db")).unwrap();
    let far = sandbox.path("far away/mine.safetensors");
    let model =
        |path: &str, name: &str, kind: &str| format!("{{\"path\": {path:?}, \"name\": {name:?}, \"type\": {kind:?}}}");
    database.execute_batch("CREATE TABLE models (id TEXT, config TEXT); CREATE TABLE images (image_name TEXT, metadata TEXT, is_intermediate BOOLEAN);").unwrap();
    for config in [
        model("1b2c", "Ink: wet", "lora"),
        model("9f/x.safetensors", "Style", "embedding"),
        model(far.to_str().unwrap(), "Mine", "vae"),
        model("/gone/away.safetensors", "Away", "lora"),
    ] {
        database.execute("INSERT INTO models VALUES ('', ?1)", [config]).unwrap();
    }
    database.execute_batch("INSERT INTO images VALUES ('a.png', 'of a', 0), ('b.png', NULL, 1), ('c.png', NULL, 0);
        CREATE TABLE boards (board_id TEXT, board_name TEXT); CREATE TABLE board_images (board_id TEXT, image_name TEXT);
        INSERT INTO boards VALUES ('1', 'Best: 2024'); INSERT INTO board_images VALUES ('1', 'c.png');").unwrap();
    drop(database);
    let found = plan(&sandbox, "invoke").unwrap();
    let models: Vec<_> =
        found.models.iter().map(|model| (model.component.kind, model.component.title.as_str())).collect();
    assert_eq!(
        models,
        [(ComponentKind::Lora, "Ink_ wet"), (ComponentKind::Vae, "Mine"), (ComponentKind::Embedding, "Style")]
    );
    let why: Vec<_> =
        found.left.iter().map(|left| (left.path.file_name().unwrap().to_str().unwrap(), &left.reason)).collect();
    let settings = Reason::NotThere("databases/invokeai.db".to_owned());
    assert_eq!(why, [("away.safetensors", &settings), ("b.png", &Reason::Intermediate)]);

    let before = Sandbox::files_below(&sandbox.path("invoke"));
    let describe = |picture: &[u8], metadata: Option<&str>| Some([picture, b" says ", metadata?.as_bytes()].concat());
    import(&found, &options(&sandbox), &describe, &Silent).unwrap();
    assert_eq!(Sandbox::files_below(&sandbox.path("invoke")), before, "nothing is written there");
    let pictures = home(&sandbox).join("outputs/imported/invokeai/outputs/images");
    assert_eq!(Sandbox::files_below(&pictures), ["Best_ 2024/c.png", "a.png", "d.png"]);
    assert_eq!(fs_err::read(pictures.join("a.png")).unwrap(), b"a says of a");
    assert_eq!(fs_err::read(pictures.join("Best_ 2024/c.png")).unwrap(), b"c");
    // Again: what was described is known again, also where it came along undescribed before.
    let again = import(&plan(&sandbox, "invoke").unwrap(), &options(&sandbox), &describe, &Silent).unwrap();
    assert_eq!((again.generation, again.kept), (None, 0));
    fs_err::write(pictures.join("a.png"), b"a").unwrap();
    assert_eq!(import(&plan(&sandbox, "invoke").unwrap(), &options(&sandbox), &describe, &Silent).unwrap().kept, 0);

    // A database that is none costs names and boards, not the import.
    sandbox.write("invoke/databases/invokeai.db", b"SQLite format 3\0 and no more");
    let found = plan(&sandbox, "invoke").unwrap();
    let is_named =
        |left: &install::LeftOut| matches!(&left.reason, Reason::Unreadable(why) if why.contains("not a database"));
    assert!(found.left.iter().any(is_named), "{:?}", found.left);
    assert_eq!(found.keepsakes.iter().filter(|file| file.is_output).count(), 4);
}
