//! A list of addresses for a machine where this program may not run.

use crate::offer::{self, Offer};
use crate::web::{Web, is_protected};
use crate::{BundlePlan, FetchError, FetchOptions, FileFailure, Tried, Trouble};
use manifest::Source;

/// An input file for `aria2c --input-file=…`: for every file its addresses, its name and its digest. Bring the folder
/// that aria2 fills back and name it with `--from`: files are found there by digest.
///
/// Asks the registries about `npm` and `pypi` packages unless `options.offline`. Secrets are not written; files that
/// need one are marked with a comment.
///
/// # Errors
/// When the certificates cannot be used or a registry does not answer.
pub fn urls(plan: &BundlePlan, options: &FetchOptions) -> Result<String, FetchError> {
    let web = Web::new(options.ca_file.as_deref(), options.endpoints.credentials.clone(), options.timeouts)?;
    let mut text =
        String::from("# aria2c --input-file=THIS-FILE --dir=FOLDER; then: fieldforge bundle … --from FOLDER\n");
    for (planned, file) in plan.files().filter(|(_, file)| file.builtin.is_none()) {
        let mut addresses = Vec::new();
        let mut digests = None;
        let mut tried = Vec::new();
        for source in &planned.component.sources {
            let offered = match source {
                Source::File { path } => {
                    text.push_str(&format!("# {}: is the file {path} of this machine\n", file.path));
                    continue;
                }
                Source::Npm { .. } | Source::Pypi { .. } if options.offline => Err(Trouble::Offline),
                _ => offer::offer(source, file.sha256, &web, &options.endpoints),
            };
            match offered {
                Ok(offer) if is_protected(&offer.url) => {
                    digests.get_or_insert_with(|| checksum(&offer));
                    addresses.push(offer.url.to_string());
                }
                Ok(offer) => {
                    let trouble = Trouble::PlainHttp(offer.url.to_string());
                    tried.push(Tried { source: source.clone(), trouble });
                }
                Err(trouble) => tried.push(Tried { source: source.clone(), trouble }),
            }
        }
        if addresses.is_empty() && !tried.is_empty() {
            let failure = FileFailure { component: planned.component.id.clone(), path: file.path.clone(), tried };
            return Err(FetchError::Failed(vec![failure]));
        }
        if addresses.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{}\n  out={}\n", addresses.join("\t"), file.path));
        if let Some(checksum) = digests.flatten() {
            text.push_str(&format!("  checksum={checksum}\n"));
        }
    }
    Ok(text)
}

fn checksum(offer: &Offer) -> Option<String> {
    let digests = &offer.digests;
    let sha256 = digests.sha256.map(|digest| format!("sha-256={digest}"));
    let sha512 = || digests.sha512.as_deref().map(|digest| format!("sha-512={}", offer::hex(digest)));
    sha256.or_else(sha512).or_else(|| digests.sha1.as_deref().map(|digest| format!("sha-1={}", offer::hex(digest))))
}
