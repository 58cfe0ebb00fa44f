//! `inventory`, `history`, `gc`: what a home holds, held, and need not hold any more.

use crate::atomic;
use crate::cli::{GcArgs, HistoryArgs, InventoryArgs};
use crate::failure::Outcome;
use crate::home;
use crate::output::Output;
use manifest::ByteSize;

/// Writes the list that `bundle --have` reads.
pub(crate) fn inventory(args: &InventoryArgs, output: &Output) -> Outcome {
    let inventory = ::install::inventory(&home::resolve(&args.home)?)?;
    let text = inventory.to_json();
    let out = home::absolute(&args.out)?;
    atomic::write(&out, &text)?;
    output.result(
        &serde_json::json!({ "inventory": out, "files": inventory.files.len(), "bytes": text.len() }),
        format!(
            "`{}`, {}: carry it to the machine that makes bundles, and there\n    fieldforge bundle forge.toml --out DIR --have '{}'\n\
             makes one with only what is missing here",
            args.out.display(),
            ByteSize(text.len() as u64),
            out.file_name().unwrap_or_default().display()
        ),
    );
    Ok(())
}

/// Lists what was installed when.
pub(crate) fn history(args: &HistoryArgs, output: &Output) -> Outcome {
    let home = home::resolve(&args.home)?;
    let now = ::install::current(&home)?.map(|now| now.number);
    let history = ::install::history(&home)?;
    let lines = history.iter().map(|generation| {
        let receipt = &generation.receipt;
        format!(
            "{} {:>4}  {}  {}, edition {}, {} files, {}{}",
            if now == Some(generation.number) { "*" } else { " " },
            generation.number,
            httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(receipt.installed_at)),
            receipt.bundle,
            receipt.sequence,
            receipt.files,
            ByteSize(receipt.bytes),
            receipt
                .signed_by
                .as_ref()
                .map_or(", signed by nobody".to_owned(), |key| format!(", signed: {}", key.words()))
        )
    });
    let text = match history.is_empty() {
        true => format!("nothing is installed in `{}`", home.display()),
        false => lines.collect::<Vec<_>>().join("\n"),
    };
    let receipts: Vec<_> = history.iter().map(|generation| &generation.receipt).collect();
    output.result(&serde_json::json!({ "current": now, "history": receipts }), text);
    Ok(())
}

/// Removes old installations.
pub(crate) fn collect_garbage(args: &GcArgs, output: &Output) -> Outcome {
    let home = home::resolve(&args.home)?;
    let (removed, bytes) = ::install::collect_garbage(&home, args.keep)?;
    let text = match removed.len() {
        0 => "nothing to remove".to_owned(),
        count => format!("{count} removed, {} (less what newer installations share)", ByteSize(bytes)),
    };
    output.result(&serde_json::json!({ "removed": removed, "bytes": bytes }), text);
    Ok(())
}
