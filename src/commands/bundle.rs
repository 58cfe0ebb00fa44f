//! `bundle`: plan, fetch, draw the reference picture, pack, read back.

use crate::cli::{BundleArgs, CodecArg};
use crate::commands::plan::{Wish, fetch_options, warn_of_licences};

use crate::commands::verify;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Seconds};
use crate::self_test::{DEFAULT_PROMPT, DEFAULT_SEED, LEAST_PSNR, machine_class, pixels_sha256};
use crate::{atomic, builtin, home, models, papers, signing};
use bundler::{
    BundlePlan, Content, FetchOptions, Fetched, FetchedFile, PackFile, PackInput, PackOptions, PackReport, SigningKey,
};
use engine::{Model, Recipe, UsedFile, UsedFiles};
use manifest::{
    BundlePath, ByteSize, Component, ComponentId, ComponentKind, Inventory, LockedComponent, Needs,
    RecommendedSettings, SelfTestRequest, SelfTestSpec, Sha256, layout,
};
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &BundleArgs, output: &Output) -> Outcome {
    let wish = Wish::read(&args.request)?;
    let fetching = fetch_options(&args.fetch, &wish.folder, output)?;
    let packing = PackOptions {
        out: home::absolute(&args.out)?,
        next: args.next.iter().map(|folder| home::absolute(folder)).collect::<Outcome<_>>()?,
        volume_size: args.volume_size,
        recovery: args.recovery,
        recovery_volumes: args.recovery_volumes,
        replace: args.replace,
        read_back: !args.no_read_back,
        planes: args.codec == CodecArg::Planes,
        ..PackOptions::default()
    };
    let key = output.stop().abruptly(|| signing::key(&args.sign, output))?;
    let have = args.have.as_deref().map(inventory).transpose()?;
    let plan = output.step(1, 3, "Plan", || {
        let plan = wish.plan(args.request.trust_on_first_use)?;
        output.say(plan.to_string().trim_end());
        warn_of_licences(&plan, output);
        Ok(plan)
    })?;
    let fetched = output.step(2, 3, "Fetch and check every byte", || fetch(&wish, &plan, &fetching, output))?;
    let report = output.step(3, 3, "Draw the reference picture, pack, read back", || {
        let report = pack(&wish, &fetched, &fetching, &packing, key.as_ref(), have.as_ref(), output)?;
        output.say(format!("      {}", report.read_back));
        Ok(report)
    })?;
    let size = report.volumes.iter().chain(&report.recovery_volumes).map(|(_, size)| size).sum();
    output.result(
        &serde_json::json!({
            "folder": report.folder, "sticks": report.sticks, "read_back": report.read_back, "volumes": report.volumes, "recovery_volumes": report.recovery_volumes, "bundle_id": report.bundle_id, "bytes": report.bytes,
            "seconds": report.seconds,
        }),
        carry(&report, size),
    );
    Ok(())
}

/// What to do with what was made.
fn carry(report: &PackReport, size: u64) -> String {
    let what = format!("{} in {} file(s)", ByteSize(size), report.volumes.len() + report.recovery_volumes.len());
    let [stick] = report.sticks.as_slice() else {
        let sticks = report.sticks.iter().map(|stick| {
            let volumes: Vec<_> = stick.volumes.iter().map(|name| format!("`{name}`")).collect();
            format!("    {}: {}", stick.folder.display(), volumes.join(", "))
        });
        let sticks: Vec<_> = sticks.collect();
        return format!(
            "{what}, on several sticks\n{}\n\nCarry all of them to the other machine and start the program on the first one.",
            sticks.join("\n")
        );
    };
    let folder = stick.folder.display();
    let program = stick.folder.join(layout::PROGRAM);
    format!(
        "`{folder}`: {what}\n\nCarry the whole folder to the other machine and start the program in it:\n    {}",
        program.display()
    )
}

/// Models with more parameters take minutes for a picture of their usual size.
const LARGE: u64 = 200_000_000;

/// Reads what `fieldforge inventory` wrote.
fn inventory(file: &Path) -> Outcome<Inventory> {
    Ok(Inventory::parse(&file.display().to_string(), &fs_err::read(file)?)?)
}

/// Fetches what the plan names and writes the lock beside the request.
pub(crate) fn fetch(wish: &Wish, plan: &BundlePlan, options: &FetchOptions, output: &Output) -> Outcome<Fetched> {
    let mut fetched = bundler::fetch(plan, options, output)?;
    if let Some(before) = &wish.lock {
        let changed = before.components != fetched.lock.components;
        fetched.lock.sequence = before.sequence.saturating_add(u64::from(changed));
    }
    if let Some(file) = &wish.lock_file {
        let text = fetched.lock.to_toml();
        if fs_err::read_to_string(file).ok().as_deref() != Some(&text) {
            atomic::write(file, text.as_bytes())?;
        }
    }
    Ok(fetched)
}

/// Draws the picture that the self-test must match, and packs everything.
pub(crate) fn pack(
    wish: &Wish,
    fetched: &Fetched,
    fetching: &FetchOptions,
    options: &PackOptions,
    key: Option<&SigningKey>,
    have: Option<&Inventory>,
    output: &Output,
) -> Outcome<PackReport> {
    let default_model = default_model(wish, fetched)?;
    let mut files: Vec<PackFile> = fetched.files.iter().map(pack_file).collect();
    let golden = golden(wish, fetched, default_model.as_ref(), &fetching.cache, output)?;
    let self_test = golden.map(|(spec, file)| {
        files.push(file);
        spec
    });
    let mut components: Vec<Component> = fetched.lock.components.iter().map(component).collect();
    if options.planes {
        bundler::add_decoders(&mut components, &mut files);
    }
    papers::add(&wish.request.name, fetched.lock.sequence, &mut components, &mut files, &|bytes| {
        keep(bytes, &fetching.cache, Sha256::of(bytes))
    })?;
    let program = home::program()?;
    let input = PackInput {
        name: &wish.request.name,
        components,
        needs: needs(&files, fetched, default_model.as_ref()),
        files,
        default_model,
        self_test,
        programs: vec![(target(), program)],
        made_by: crate::PROGRAM_VERSION.to_owned(),
        sequence: fetched.lock.sequence,
        have,
        frozen: None,
        key,
    };
    Ok(bundler::pack(&input, options, output)?)
}

/// Opens what was just written and checks it as the offline machine will.
pub(crate) fn read_back(report: &PackReport, output: &Output) -> Outcome {
    let found = verify::bundle(&report.folder, output)?;
    if found.stopped {
        return Err(Failure::stopped(format!(
            "`{}` is complete, but not all of it was read back",
            report.folder.display()
        ))
        .with_hint(format!("`fieldforge verify '{}'` reads it", report.folder.display())));
    }
    for finding in &found.findings {
        output.problem(finding);
    }
    if found.findings.is_empty() {
        output.say(format!("{} read back in {}", ByteSize(found.bytes), Seconds(found.seconds)));
        return Ok(());
    }
    Err(Failure::new(format!(
        "`{}` does not hold what was written to it: {} finding(s)",
        report.folder.display(),
        found.findings.len()
    ))
    .with_hint("the medium is likely failing: write the bundle to another one with --out"))
}

/// The machines that this program runs on.
pub(crate) fn target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

fn pack_file(fetched: &FetchedFile) -> PackFile {
    PackFile {
        path: fetched.file.path.clone(),
        component: fetched.component.clone(),
        content: fetched.content.clone(),
        size: fetched.file.size,
        sha256: fetched.file.sha256,
        surveyed: fetched.surveyed.clone(),
    }
}

fn component(locked: &LockedComponent) -> Component {
    Component {
        id: locked.id.clone(),
        kind: locked.kind,
        family: locked.family.clone(),
        title: locked.title.clone(),
        licence: locked.licence.clone(),
        sources: locked.sources.clone(),
        settings: locked.settings.clone(),
    }
}

fn default_model(wish: &Wish, fetched: &Fetched) -> Outcome<Option<ComponentId>> {
    let mut checkpoints =
        fetched.lock.components.iter().filter(|component| component.kind == ComponentKind::Checkpoint);
    let Some(wanted) = &wish.request.default_model else {
        // Whoever chose a real checkpoint beside spark wants that one.
        let chosen = checkpoints.clone().find(|component| component.id.as_str() != "spark");
        return Ok(chosen.or_else(|| checkpoints.next()).map(|component| component.id.clone()));
    };
    if checkpoints.any(|component| component.id == *wanted) {
        return Ok(Some(wanted.clone()));
    }
    Err(Failure::new(format!("`default-model` is `{wanted}`, which is no checkpoint of this bundle"))
        .with_hint(format!("add it: include = [\"{wanted}\"], or name one that is included")))
}

fn needs(files: &[PackFile], fetched: &Fetched, default_model: Option<&ComponentId>) -> Needs {
    let disk = files.iter().map(|file| file.size).sum();
    let largest_file = files.iter().map(|file| file.size).max().unwrap_or_default();
    let model: u64 =
        fetched.files.iter().filter(|file| Some(&file.component) == default_model).map(|file| file.file.size).sum();
    // Half-precision weights are widened to f32 for computing; a 512x512 picture takes about 2 GiB beside them.
    let memory = model.saturating_mul(2) + if model > (1 << 30) { 2 << 30 } else { 256 << 20 };
    Needs { disk, largest_file, memory }
}

/// The picture that the offline machine must draw, made with the bytes that travel.
fn golden(
    wish: &Wish,
    fetched: &Fetched,
    default_model: Option<&ComponentId>,
    cache: &Path,
    output: &Output,
) -> Outcome<Option<(SelfTestSpec, PackFile)>> {
    let wanted = wish.request.self_test.clone().unwrap_or_default();
    let Some((component, file)) = self_test_model(&wanted, fetched, default_model)? else {
        output.warn("no checkpoint of this bundle can be drawn with yet: the self-test will use the built-in spark, with nothing to compare");
        return Ok(None);
    };
    // as the offline machine will open it
    let recommended = component.settings.clone().unwrap_or_default();
    let model = match &file.content {
        Content::Disk(path) => Model::open_with(path, &models::options(&recommended, vae(&recommended, fetched)))?,
        Content::Memory(bytes) => Model::from_static(component.id.as_str(), bytes)?,
        Content::Bytes(bytes) => Model::from_static(component.id.as_str(), bytes.to_vec().leak())?,
    };
    let mut settings = models::starting_settings(Some(model.info()), &recommended, "");
    settings.prompt = wanted.prompt.unwrap_or_else(|| DEFAULT_PROMPT.to_owned());
    if model.info().parameters > LARGE {
        // Whether the machine computes rightly shows in a small picture, too, and in minutes less.
        settings.steps = 4;
        (settings.width, settings.height) = (256, 256);
    }
    settings.steps = wanted.steps.unwrap_or(settings.steps);
    settings.seed = wanted.seed.unwrap_or(DEFAULT_SEED);
    if let Some(size) = wanted.size {
        (settings.width, settings.height) = (size, size);
    }
    settings.check()?;
    output.say(format!("drawing \"{}\" with {}: what the self-test must match", settings.prompt, component.id));
    let picture = model.generate(&settings, &mut |step| output.draw_on(step))?;
    let used =
        UsedFiles { model: UsedFile::new(component.id.as_str(), file.file.sha256.short()), ..UsedFiles::default() };
    let text = Recipe::new(settings.clone(), used).infotext().to_string();
    let png = picture.to_png(&[("parameters", &text)])?;
    let path: BundlePath = format!("{}/{}", layout::GOLDEN, layout::SELF_TEST_PICTURE).parse().map_err(Failure::new)?;
    let sha256 = Sha256::of(&png);
    let size = png.len() as u64;
    let packed = PackFile {
        path: path.clone(),
        component: component.id.clone(),
        content: keep(&png, cache, sha256)?,
        size,
        sha256,
        surveyed: None,
    };
    let sampler = settings.sampler_name();
    let spec = SelfTestSpec {
        model: file.file.path.clone(),
        prompt: settings.prompt,
        width: settings.width,
        height: settings.height,
        steps: settings.steps,
        cfg_scale: settings.cfg_scale,
        seed: settings.seed,
        sampler,
        picture: path,
        pixels_sha256: pixels_sha256(&picture),
        machine_class: machine_class(model.precision()),
        least_psnr: LEAST_PSNR,
    };
    Ok(Some((spec, packed)))
}

/// The VAE that a checkpoint is recommended with, if it travels along.
fn vae<'a>(recommended: &RecommendedSettings, fetched: &'a Fetched) -> Option<&'a Path> {
    let wanted = recommended.vae.as_deref()?;
    let is_vae = |file: &&FetchedFile| {
        let kind = fetched.lock.get(&file.component).map(|component| component.kind);
        file.component.as_str() == wanted && kind == Some(ComponentKind::Vae)
    };
    let mut files = fetched.files.iter().filter(is_vae);
    files.find_map(|file| match &file.content {
        Content::Disk(path) if file.file.path.as_str().ends_with(".safetensors") => Some(path.as_path()),
        _ => None,
    })
}

/// Stores what is made here until it is packed.
fn keep(bytes: &[u8], cache: &Path, sha256: Sha256) -> Outcome<Content> {
    let folder: PathBuf = cache.join("made");
    fs_err::create_dir_all(&folder)?;
    let file = folder.join(sha256.to_string());
    atomic::write(&file, bytes)?;
    Ok(Content::Disk(file))
}

/// The checkpoint that the self-test draws with: the one asked for, else spark, else the default one.
fn self_test_model<'a>(
    wanted: &SelfTestRequest,
    fetched: &'a Fetched,
    default_model: Option<&ComponentId>,
) -> Outcome<Option<(&'a LockedComponent, &'a FetchedFile)>> {
    let spark: Option<ComponentId> = builtin::SPARK_ID.parse().ok();
    let drawable = |id: &ComponentId| {
        let component = fetched.lock.get(id).filter(|component| component.kind == ComponentKind::Checkpoint)?;
        component.family.as_deref().is_none_or(models::is_supported).then_some(())?;
        let file = fetched
            .files
            .iter()
            .find(|file| file.component == *id && file.file.path.as_str().ends_with(".safetensors"))?;
        Some((component, file))
    };
    if let Some(id) = &wanted.model {
        return drawable(id).map(Some).ok_or_else(|| {
            Failure::new(format!(
                "the self-test cannot draw with `{id}`: it is not a checkpoint of this bundle that the engine can read"
            ))
            .with_hint("name another checkpoint under [self-test], or leave `model` out")
        });
    }
    // a large model takes minutes for a step: nobody waits for that unasked
    let quick =
        |(component, _): &(&LockedComponent, _)| component.family.as_deref().is_none_or(|family| family == "sd1");
    Ok(spark.as_ref().and_then(drawable).or_else(|| default_model.and_then(drawable).filter(quick)))
}
