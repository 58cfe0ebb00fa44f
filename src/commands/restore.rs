//! `restore`: a frozen folder comes back, under any path.

use crate::cli::{RestoreArgs, TrustArgs};
use crate::commands::install::trust;
use crate::failure::Outcome;
use crate::home;
use crate::output::{Output, Seconds};
use ::install::{Bundle, RestoreOptions, restore};
use manifest::{ByteSize, layout};

pub(crate) fn run(args: &RestoreArgs, output: &Output) -> Outcome {
    let bundles = args.backups.iter().map(|folder| Ok(Bundle::open(&home::absolute(folder)?)?));
    let bundles = bundles.collect::<Outcome<Vec<_>>>()?;
    let trusted = TrustArgs { trust: args.trust.clone(), allow_unsigned: args.allow_unsigned, allow_older: false };
    let options =
        RestoreOptions { to: home::absolute(&args.to)?, trust: trust(&trusted)?, ..RestoreOptions::default() };
    let restored = restore(&bundles, &options, output)?;
    for lost in &restored.left_out {
        output.warn(format!("the backup never held `{}`: {}", lost.path, lost.reason));
    }
    let more = match home::is_home(&restored.folder) {
        true => format!(
            "\n\nProve that it works offline:  '{program}' selftest\nOpen the page:                '{program}' serve",
            program = restored.folder.join(layout::PROGRAM).display()
        ),
        false => String::new(),
    };
    output.result(
        &restored,
        format!(
            "`{}` is as it was: {} files, {}, compared bit for bit, in {}{more}",
            restored.folder.display(),
            restored.files,
            ByteSize(restored.bytes),
            Seconds(restored.seconds)
        ),
    );
    Ok(())
}
