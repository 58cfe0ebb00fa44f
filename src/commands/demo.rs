//! `demo`: the whole journey on one machine, with real HTTP, a real copy and a real seal.

use crate::builtin;
use crate::cli::DemoArgs;
use crate::commands::plan::Wish;
use crate::commands::{bundle, install, selftest, serve};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Seconds};
use crate::{atomic, home, signing};
use ::install::Trust;
use bundler::{Content, FetchOptions, PackOptions, loopback};
use manifest::{ByteSize, CatalogEntry, ComponentKind, Request, Sha256, Source, layout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const STEPS: u32 = 8;
/// Spaces and letters beyond ASCII: the other machine's folders are never ours.
const CARRIED: &str = "other machine, Größe M";

/// Says that a folder is the demo's own.
const MARK: &str = "demo-folder.txt";

/// Where everything goes below `--out`.
struct Places {
    bundle: PathBuf,
    carried: PathBuf,
    home: PathBuf,
    report: PathBuf,
    picture: PathBuf,
}

pub(crate) fn run(args: &DemoArgs, output: &Output) -> Outcome {
    let out = home::absolute(&args.out)?;
    claim(&out)?;
    let places = Places {
        bundle: out.join("bundle"),
        carried: out.join(CARRIED).join("usb stick"),
        home: out.join("home"),
        report: out.join(layout::SELF_TEST_REPORT),
        picture: out.join(layout::SELF_TEST_PICTURE),
    };
    // In a network namespace of its own (`unshare -n`) a machine has not even loopback until somebody raises it.
    let _ = seal::raise_loopback();
    output.say(
        "The whole journey on this machine. Nothing leaves it: the server that files are fetched from runs here too.\n",
    );
    let began = Instant::now();
    online(&out, &places, output)?;
    output.step(4, STEPS, "Carry: copy the folder to where another machine would see it", || carry(&places, output))?;
    offline(args, &places, output)?;
    output.result(
        &serde_json::json!({
            "bundle": places.bundle, "home": places.home, "self_test": places.report, "picture": places.picture,
            "seconds": began.elapsed().as_secs_f64(),
        }),
        format!(
            "\nDone in {}. Look at\n    {}  what travels on the stick\n    {}  what was installed\n    {}  the proof\n    {}  \"{}\"",
            Seconds(began.elapsed().as_secs_f64()),
            places.bundle.display(),
            places.home.display(),
            places.report.display(),
            places.picture.display(),
            args.prompt
        ),
    );
    if args.no_serve {
        return Ok(());
    }
    output.say(format!("\n[{STEPS}/{STEPS}] Open the page"));
    serve::serve(&places.home, &args.page, None, engine::Precision::best(), output)
}

/// Takes an empty folder, or one of an earlier demo; the demo removes files in it, so it takes no other.
fn claim(out: &Path) -> Outcome {
    fs_err::create_dir_all(out)?;
    let mark = out.join(MARK);
    if !mark.exists() && fs_err::read_dir(out)?.next().is_some() {
        return Err(Failure::new(format!("`{}` is not empty, and no earlier demo made it", out.display()))
            .with_hint("name a new folder with --out; the demo replaces what lies in its own"));
    }
    atomic::write(&mark, b"Made by `fieldforge demo`, which replaces what lies in this folder when it runs again.\n")
}

/// The machine with internet: fetch, pack, read back.
fn online(out: &Path, places: &Places, output: &Output) -> Outcome {
    let (server, request) = files_to_fetch()?;
    let wish = Wish::of(request, out.to_path_buf())?;
    let plan = wish.plan(false)?;
    // An empty cache, so that the demo really fetches.
    let cache = out.join("cache");
    if cache.exists() {
        fs_err::remove_dir_all(&cache)?;
    }
    let fetching = FetchOptions::new(cache);
    let fetched = output.step(1, STEPS, "Fetch: over HTTP, every byte checked against its digest", || {
        output.say(plan.to_string().trim_end());
        bundle::fetch(&wish, &plan, &fetching, output)
    })?;
    drop(server);
    let packing = PackOptions { out: places.bundle.clone(), replace: true, ..PackOptions::default() };
    // A key of its own: nothing of this account is touched.
    let key = signing::kept(&out.join("signing.key"), output)?;
    let report = output.step(2, STEPS, "Pack: draw the reference picture, write the bundle", || {
        let report = bundle::pack(&wish, &fetched, &fetching, &packing, Some(&key), None, output)?;
        for (name, size) in &report.volumes {
            output.say(format!("      {name}, {}", ByteSize(*size)));
        }
        Ok(report)
    })?;
    output.step(3, STEPS, "Verify: read the bundle back", || bundle::read_back(&report, output))
}

/// The machine without: install, prove, draw.
fn offline(args: &DemoArgs, places: &Places, output: &Output) -> Outcome {
    output.step(5, STEPS, "Install: unpack, verify every chunk, switch over at once", || {
        let bundle = install::open(std::slice::from_ref(&places.carried), &places.home, output)?;
        install::install(&bundle, &places.home, Trust::default(), false, output).map(|_| ())
    })?;
    output.step(6, STEPS, "Prove: draw with the network shut off by the kernel, compare", || {
        let report = selftest::in_home(&places.home, args.page.allow_unsealed, output)?;
        output.say(selftest::one_line(&report));
        let kept = places.home.join(layout::SELF_TEST).join(layout::SELF_TEST_REPORT);
        atomic::write(&places.report, &fs_err::read(kept)?)?;
        selftest::conclude(&report, &places.home)
    })?;
    output.step(7, STEPS, &format!("Generate: \"{}\"", args.prompt), || {
        // The installed program itself, as its user would start it.
        let status = Command::new(places.home.join(layout::PROGRAM))
            .args(["generate", "--quiet", "--seed", "7", "--out"])
            .arg(&places.picture)
            .arg("--")
            .arg(&args.prompt)
            .env_remove("FIELDFORGE_HOME")
            .stdout(Stdio::null())
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("the installed program could not draw ({status})")))
        }
    })
}

/// A loopback server with what the demo fetches, and the request that names it.
fn files_to_fetch() -> Outcome<(loopback::Server, Request)> {
    let spark = builtin::BUILTINS.iter().find(|builtin| builtin.name == builtin::SPARK_ID);
    let files: Vec<_> = spark.into_iter().flat_map(|spark| spark.files).collect();
    let served = files.iter().map(|file| (format!("/{}", file_name(file.path)), Content::Memory(file.bytes))).collect();
    let server = loopback::Server::start(served)?;
    let components = files
        .iter()
        .map(|file| {
            let name = file_name(file.path);
            let weights = name.ends_with(".safetensors");
            let id = if weights { builtin::SPARK_ID.to_owned() } else { format!("spark-{}", name.to_lowercase()) };
            Ok(CatalogEntry {
                id: id.parse().map_err(Failure::new)?,
                kind: if weights { ComponentKind::Checkpoint } else { ComponentKind::Part },
                family: weights.then(|| "sd1".to_owned()),
                title: format!("spark: {name}"),
                licence: "MIT AND Apache-2.0".to_owned(),
                file: Some(name.to_owned()),
                size: Some(file.bytes.len() as u64),
                sha256: Some(Sha256::of(file.bytes)),
                sources: vec![Source::Https { url: format!("http://{}/{name}", server.address()) }],
                settings: None,
                notes: None,
            })
        })
        .collect::<Outcome<_>>()?;
    let include = vec!["fieldforge-page".parse().map_err(Failure::new)?];
    Ok((server, Request { include, components, ..Request::minimal("demo") }))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What a person does with a file manager.
fn carry(places: &Places, output: &Output) -> Outcome {
    if places.carried.exists() {
        fs_err::remove_dir_all(&places.carried)?;
    }
    fs_err::create_dir_all(&places.carried)?;
    let mut bytes = 0;
    for entry in fs_err::read_dir(&places.bundle)? {
        let entry = entry?;
        bytes += fs_err::copy(entry.path(), places.carried.join(entry.file_name()))?;
    }
    output.say(format!("{} to `{}`", ByteSize(bytes), places.carried.display()));
    Ok(())
}
