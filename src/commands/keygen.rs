//! `keygen`: a key that signs bundles.

use crate::cli::KeygenArgs;
use crate::failure::Outcome;
use crate::home;
use crate::output::Output;
use crate::signing;

pub(crate) fn run(args: &KeygenArgs, output: &Output) -> Outcome {
    let password = args.password.then(signing::new_password).transpose()?;
    let new = signing::generate(password.as_deref())?;
    let secret = home::absolute(&args.out)?;
    let public = signing::save(&secret, &new)?;
    output.result(
        &serde_json::json!({ "secret": secret, "public": public, "key": new.key, "words": new.key.words() }),
        format!(
            "`{}`: keep it secret; it signs bundles: fieldforge bundle --sign '{}'\n\
             `{}`: give it to those who install: fieldforge install --trust '{}'\n\n\
             Its words, to be read over the telephone:  {}",
            secret.display(),
            secret.display(),
            public.display(),
            public.display(),
            new.key.words()
        ),
    );
    Ok(())
}
