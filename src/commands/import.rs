//! `import`: another program's folder becomes part of a home, or a request for a bundle.

use crate::cli::ImportArgs;
use crate::commands::freeze::freeze;
use crate::failure::{Failure, Outcome};
use crate::judge::judge;
use crate::library::Library;
use crate::output::Output;
use crate::picture_facts::invoke;
use crate::{atomic, home, new_model};
use ::install::{ImportOptions, ImportPlan, Reason, Walk};
use manifest::{ByteSize, ComponentKind, FrozenKind, OwnComponent, Request, layout};
use std::path::Path;

pub(crate) fn run(args: &ImportArgs, output: &Output) -> Outcome {
    let folder = home::absolute(&args.folder)?;
    if let Some(out) = args.out.as_deref().filter(|_| args.whole) {
        return freeze(FrozenKind::Folder, &folder, out, &args.freeze, || Ok(Walk::of_folder(&folder)?), output);
    }
    if let Some(file) = &args.write {
        return write(&folder, &home::absolute(file)?, args.all, output);
    }
    if folder.is_file() {
        return one_file(&folder, args, output);
    }
    let options = ImportOptions {
        home: home::resolve(&args.home)?,
        all: args.all,
        outputs: !args.no_outputs,
        program: Some(home::program()?),
    };
    let plan = ImportPlan::new(&folder, &options, &judge, output)?;
    if args.dry_run {
        output.result(&plan, plan.to_string().trim_end());
        return Ok(());
    }
    output.say(plan.to_string().trim_end());
    if plan.is_empty() {
        output.result(&plan, "nothing to import");
        return all_read(&plan);
    }
    let report = ::install::import(&plan, &options, &invoke::with_infotext, output)?;
    let mut text = format!(
        "{} model(s), {} pictures and papers imported into `{}`, {} copied",
        report.models,
        report.kept,
        options.home.display(),
        ByteSize(report.bytes)
    );
    if report.kept_before > 0 {
        text += &format!("; {} were there already", report.kept_before);
    }
    if report.generation.is_some() {
        text += &format!(
            "\n\nSee what there is:       '{program}' models\nTake the models back out: '{program}' install --roll-back",
            program = options.home.join(layout::PROGRAM).display()
        );
    }
    let value = serde_json::json!({ "plan": plan, "report": report });
    output.result(&value, text);
    all_read(&plan)
}

/// One model file goes into the home's own folders; a server that is running finds it there.
fn one_file(path: &Path, args: &ImportArgs, output: &Output) -> Outcome {
    let home = home::resolve(&args.home)?;
    let library = Library::of(&home)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if args.dry_run {
        let found = judge(path, None).map_err(|reason| refused(&new_model::broken(&name, &reason)))?;
        output.result(
            &serde_json::json!({ "file": path, "kind": found.kind, "usable": found.usable }),
            found.description,
        );
        return Ok(());
    }
    let mut file = fs_err::File::open(path)?;
    let added = new_model::add(&home, library.files(), &name, None, &mut file).map_err(|error| refused(&error))?;
    let text = format!("added as {}: `{}`", added.kind, added.path.display());
    output.result(&serde_json::json!({ "kind": added.kind, "path": added.path }), text);
    Ok(())
}

fn refused(error: &server::AddError) -> Failure {
    Failure::new(error).with_hint(&error.hint)
}

/// What could not be read may be what the person wanted: then the import did not succeed as a whole.
fn all_read(plan: &ImportPlan) -> Outcome {
    let unread: Vec<_> = plan.left.iter().filter(|left| matches!(left.reason, Reason::Unreadable(_))).collect();
    let Some(first) = unread.first() else { return Ok(()) };
    let (count, path) = (unread.len(), first.path.display());
    Err(Failure::new(format!("{count} file(s) could not be read and are not imported, `{path}` among them"))
        .with_hint("the plan above says why; make them readable or check the disk, then run the same command again: it takes only what is new"))
}

/// Writes a request that names the models where they are now, for `bundle`.
fn write(folder: &Path, file: &Path, all: bool, output: &Output) -> Outcome {
    if file.symlink_metadata().is_ok() {
        return Err(Failure::new(format!("`{}` is there already", file.display()))
            .with_hint("choose another name with --write, or move it away"));
    }
    // Counted against an empty home: everything is new.
    let options = ImportOptions { home: file.to_path_buf(), all, outputs: false, program: None };
    let mut plan = ImportPlan::new(folder, &options, &judge, output)?;
    plan.keepsakes.clear();
    let mut request = Request::minimal("imported");
    request.default_model.clone_from(&plan.default_model);
    for model in std::mem::take(&mut plan.models) {
        let is_folder = model.files.iter().any(|file| file.to.file_name() == layout::DIFFUSERS_INDEX);
        let [weights, ..] = model.files.as_slice() else { continue };
        if is_folder {
            let path = weights.from.parent().unwrap_or(&weights.from).to_path_buf();
            let reason = Reason::BadPath("a request names single files; `fieldforge import` takes it".to_owned());
            plan.left.push(::install::LeftOut { path, size: model.size(), reason });
            continue;
        }
        let component = &model.component;
        request.components.push(OwnComponent {
            id: component.id.clone(),
            kind: component.kind,
            family: component.family.clone(),
            title: component.title.clone(),
            licence: component.licence.clone(),
            file: Some(weights.to.file_name().to_owned()),
            size: Some(weights.size),
            sha256: None,
            sources: component.sources.clone(),
            settings: None,
            notes: None,
        });
        plan.models.push(model);
    }
    if plan.models.iter().all(|model| model.component.kind == ComponentKind::Part) {
        output.say(plan.to_string().trim_end());
        return Err(Failure::new(format!("`{}` holds no model that a bundle could carry", folder.display()))
            .with_hint("what was left out, and why, stands above"));
    }
    output.say(plan.to_string().trim_end());
    atomic::write(file, request.to_toml().as_bytes())?;
    output.result(
        &serde_json::json!({ "request": file, "plan": plan }),
        format!(
            "`{}` names {} model(s). Remove what should not travel, then\n    fieldforge bundle '{}' --out DIR\npacks them. \
             Pictures and papers are not in it: import into a home for those.",
            file.display(),
            plan.models.len(),
            file.display()
        ),
    );
    Ok(())
}
