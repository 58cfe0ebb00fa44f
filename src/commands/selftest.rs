//! `selftest`: a picture drawn with the network shut off by the kernel.

use crate::cli::SelftestArgs;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::library::Library;
use crate::models;
use crate::output::{Output, Seconds};
use crate::self_test::{self, SelfTestReport, Subject, Verdict, settings_of};
use engine::Precision;
use manifest::layout;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn run(args: &SelftestArgs, output: &Output) -> Outcome {
    let home = home::resolve(&args.home)?;
    output.say(format!("testing `{}`", home.display()));
    let subject = Subject { precision: args.precision, ..subject(&home, output)? };
    let report = self_test::run(&subject, &home.join(layout::SELF_TEST), args.allow_unsealed, output)?;
    output.result(&report, report.to_string().trim_end());
    conclude(&report, &home)
}

/// Runs the self-test of a home and keeps its report there.
pub(crate) fn in_home(home: &Path, allow_unsealed: bool, output: &Output) -> Outcome<SelfTestReport> {
    self_test::run(&subject(home, output)?, &home.join(layout::SELF_TEST), allow_unsealed, output)
}

/// A failed self-test is a failure of the command.
pub(crate) fn conclude(report: &SelfTestReport, home: &Path) -> Outcome {
    match report.verdict {
        Verdict::Passed | Verdict::Partial => Ok(()),
        Verdict::Failed => {
            Err(Failure::new(format!("the self-test failed: {}", report.reasons.join("; ")))
                .with_hint(hint(report, home)))
        }
    }
}

/// The result in one line.
pub(crate) fn one_line(report: &SelfTestReport) -> String {
    let drawn = report.picture.as_ref().map_or_else(String::new, |picture| {
        let compared = picture.comparison.as_ref().map_or("not compared", |comparison| comparison.text.as_str());
        format!("; \"{}\" drawn in {}, {compared}", picture.settings.prompt, Seconds(picture.draw_seconds))
    });
    format!(
        "network: {:?}, {} of {} ways out refused, {} messages heard outside{drawn}",
        report.seal.level,
        report.attempts.iter().filter(|attempt| attempt.refused).count(),
        report.attempts.len(),
        report.canary.map_or(0, |canary| canary.heard_sealed)
    )
}

fn hint(report: &SelfTestReport, home: &Path) -> String {
    if report.seal.level == seal::Level::S0 && !report.unsealed_allowed {
        return "run it outside of a restricted container, or accept that nothing is proven: --allow-unsealed"
            .to_owned();
    }
    format!(
        "run `fieldforge verify '{}'`: it finds damaged files; the whole report is in `{}`",
        home.display(),
        home.join(layout::SELF_TEST).join(layout::SELF_TEST_TEXT).display()
    )
}

fn subject(home: &Path, output: &Output) -> Outcome<Subject> {
    if let Some(generation) = ::install::current(home)?
        && let Some(spec) = generation.manifest.self_test.clone()
    {
        let path = spec.model.below(&generation.folder);
        let library = Arc::new(Library::with(home, Some(&generation)));
        let choices = models::with(Some(&generation), &library);
        let choice = choices.iter().find(|choice| choice.path.as_ref() == Some(&path));
        return Ok(Subject {
            model_name: spec.model.file_name().to_owned(),
            model: Some(path.clone()),
            vae: choice.and_then(|choice| choice.vae()).map(|vae| vae.path.clone()),
            prediction: choice.and_then(|choice| choice.recommended.prediction.clone()),
            settings: settings_of(&spec)?,
            precision: Precision::F32,
            damage: generation.verify_file(&spec.model, output)?,
            golden: Some((generation.manifest.id(), spec.clone(), spec.picture.below(&generation.folder))),
        });
    }
    embedded()
}

/// The embedded checkpoint, with nothing to compare with.
pub(crate) fn embedded() -> Outcome<Subject> {
    Ok(Subject {
        model_name: "the built-in spark".to_owned(),
        model: None,
        vae: None,
        prediction: None,
        settings: self_test::own_settings()?,
        precision: Precision::F32,
        damage: Vec::new(),
        golden: None,
    })
}
