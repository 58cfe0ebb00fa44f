//! The key that signs bundles: a file that was named, or one of this account, made when it is first needed.

use crate::atomic;
use crate::cli::SignArgs;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::output::Output;
use bundler::{NewKey, SigningKey, SigningKeyError};
use manifest::Reporter as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// Holds the password of an encrypted key, for scripts.
const PASSWORD: &str = "FIELDFORGE_KEY_PASSWORD";
/// The account's own key, below its folder of settings.
const OWN: &str = "fieldforge/signing.key";

/// The key to sign with, as asked for; none if that was asked for.
pub(crate) fn key(args: &SignArgs, output: &Output) -> Outcome<Option<SigningKey>> {
    if args.no_sign {
        return Ok(None);
    }
    if let Some(file) = &args.sign {
        return read(file).map(Some);
    }
    kept(&own_file()?, output).map(Some)
}

/// The key in that file, which is made if there is none.
pub(crate) fn kept(file: &Path, output: &Output) -> Outcome<SigningKey> {
    if !file.exists() {
        let new = generate(None)?;
        save(file, &new)?;
        output.event(&manifest::Event::Note {
            text: &format!(
                "made a key that signs your bundles: `{}`. Its words, to be read to those who install: {}",
                file.display(),
                new.key.words()
            ),
        });
    }
    read(file)
}

/// Makes a key, encrypted if there is a password.
pub(crate) fn generate(password: Option<&str>) -> Outcome<NewKey> {
    SigningKey::generate(password).map_err(|error| Failure::new(error.to_string()))
}

/// Writes both halves of a key; the secret one for this account's eyes only.
pub(crate) fn save(secret: &Path, new: &NewKey) -> Outcome<PathBuf> {
    let public = secret.with_extension("pub");
    if let Some(folder) = secret.parent() {
        fs_err::create_dir_all(folder)?;
    }
    for file in [secret, &public] {
        if file.exists() {
            return Err(Failure::new(format!("`{}` exists already", file.display()))
                .with_hint("name another file with --out: a lost key cannot be made again"));
        }
    }
    atomic::write_secret(secret, new.secret.as_bytes())?;
    atomic::write(&public, new.public.as_bytes())?;
    Ok(public)
}

/// Asks for a password twice, or takes it from the environment.
pub(crate) fn new_password() -> Outcome<String> {
    if let Ok(password) = std::env::var(PASSWORD) {
        return Ok(password);
    }
    let first = ask("Password for the new key: ")?;
    if first.is_empty() || first != ask("The same again: ")? {
        return Err(Failure::usage("the two passwords differ, or are empty").with_hint("try again"));
    }
    Ok(first)
}

fn read(file: &Path) -> Outcome<SigningKey> {
    let text = fs_err::read_to_string(file)?;
    let result = match SigningKey::parse(&text, None) {
        Err(SigningKeyError::PasswordNeeded) => {
            let password = match std::env::var(PASSWORD) {
                Ok(password) => password,
                Err(_) => ask(&format!("Password of `{}`: ", file.display()))?,
            };
            SigningKey::parse(&text, Some(&password))
        }
        result => result,
    };
    result.map_err(|error| {
        Failure::new(format!("`{}` cannot sign: {error}", file.display()))
            .with_hint("make a key with `fieldforge keygen`, or leave the bundle unsigned with --no-sign")
    })
}

fn ask(question: &str) -> Outcome<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("the key needs a password, and nobody can be asked here")
            .with_hint(format!("put it into the environment variable {PASSWORD}")));
    }
    Ok(rpassword::prompt_password(question)?)
}

/// `~/.config/fieldforge/signing.key`, or where the system keeps settings.
fn own_file() -> Outcome<PathBuf> {
    let variable = if cfg!(windows) { "APPDATA" } else { "XDG_CONFIG_HOME" };
    let settings = std::env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let settings = settings.or_else(|| home::user_home().map(|home| home.join(".config")));
    settings.map(|folder| folder.join(OWN)).ok_or_else(|| {
        Failure::new("this account has no home folder to keep a signing key in (the variable `HOME` is not set)")
            .with_hint("name a key with --sign, or leave the bundle unsigned with --no-sign")
    })
}
