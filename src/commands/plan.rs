//! `plan`: what `bundle` would download.

use crate::builtin::{self, BUILTINS};
use crate::cli::{FetchArgs, PlanArgs, RequestArgs};
use crate::commands::catalog as catalog_command;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::output::Output;
use bundler::{BundlePlan, Endpoints, FetchOptions, PlanInput, Policy, Tokens};
use manifest::{Catalog, LicenceTerms, Lock, Request, Source, layout};
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &PlanArgs, output: &Output) -> Outcome {
    let wish = Wish::read(&args.request)?;
    let plan = wish.plan(args.request.trust_on_first_use)?;
    if args.print_urls {
        let urls = bundler::urls(&plan, &fetch_options(&args.fetch, &wish.folder, output)?)?;
        output.result(&urls, urls.trim_end());
    } else {
        output.result(&plan, plan.to_string().trim_end());
        warn_of_licences(&plan, output);
    }
    Ok(())
}

/// Names everything whose licence says nothing that is known here.
pub(crate) fn warn_of_licences(plan: &BundlePlan, output: &Output) {
    for planned in &plan.components {
        let component = &planned.component;
        if LicenceTerms::of(&component.licence) == LicenceTerms::Unknown {
            let page =
                component.sources.iter().find_map(Source::page).map(|page| format!(": {page}")).unwrap_or_default();
            output.warn(format!(
                "what the licence of `{}` allows is not known here (\"{}\"); read its page before you use it or pass it on{page}",
                component.id, component.licence
            ));
        }
    }
}

/// What somebody wants: the request, the lock beside it, the catalog it refers to.
pub(crate) struct Wish {
    pub(crate) request: Request,
    /// Relative paths of the request count from here.
    pub(crate) folder: PathBuf,
    /// Where the lock is kept; absent when there is no `forge.toml`.
    pub(crate) lock_file: Option<PathBuf>,
    pub(crate) lock: Option<Lock>,
    catalog: Catalog,
}

impl Wish {
    /// Reads `forge.toml` and `forge.lock`, or takes the minimal request.
    pub(crate) fn read(args: &RequestArgs) -> Outcome<Self> {
        let catalog = builtin::catalog()?;
        let mut wish = match &args.request {
            Some(file) => Self::from_file(file, catalog)?,
            None => Self {
                request: Request::minimal("fieldforge-kit"),
                folder: home::absolute(Path::new("."))?,
                lock_file: None,
                lock: None,
                catalog,
            },
        };
        for name in &args.add {
            let id = name.parse().map_err(Failure::usage)?;
            if wish.catalog.get(&id).is_none() {
                return Err(catalog_command::unknown(&wish.catalog, name));
            }
            if !wish.request.include.contains(&id) {
                wish.request.include.push(id);
            }
        }
        Ok(wish)
    }

    /// A request of the program itself (the demo's).
    pub(crate) fn of(request: Request, folder: PathBuf) -> Outcome<Self> {
        let lock_file = Some(folder.join(layout::LOCK));
        Ok(Self { request, folder, lock_file, lock: None, catalog: builtin::catalog()? })
    }

    fn from_file(file: &Path, catalog: Catalog) -> Outcome<Self> {
        let name = file.display().to_string();
        let request = Request::parse(&name, &fs_err::read_to_string(file)?)?;
        let lock_file = home::absolute(&file.with_file_name(lock_name(file)))?;
        let lock = match fs_err::read_to_string(&lock_file) {
            Ok(text) => Some(Lock::parse(&lock_file.display().to_string(), &text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let folder = lock_file.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self { request, folder, lock_file: Some(lock_file), lock, catalog })
    }

    pub(crate) fn plan(&self, trust_on_first_use: bool) -> Outcome<BundlePlan> {
        Ok(bundler::plan(PlanInput {
            catalog: &self.catalog,
            request: &self.request,
            request_folder: &self.folder,
            lock: self.lock.as_ref(),
            builtins: BUILTINS,
            policy: Policy { trust_on_first_use },
        })?)
    }
}

/// `forge.toml` has `forge.lock`, `x.toml` has `x.lock`.
fn lock_name(request: &Path) -> PathBuf {
    match request.file_name() {
        Some(name) if name != layout::REQUEST => Path::new(name).with_extension("lock"),
        _ => PathBuf::from(layout::LOCK),
    }
}

/// Where tokens may be kept: lines `HF_TOKEN=…`, readable by their owner only.
fn token_file() -> Option<PathBuf> {
    home::user_home().map(|home| home.join(".config").join("fieldforge").join("tokens")).filter(|file| file.exists())
}

/// How files are fetched, from the options and the settings of the standard clients.
pub(crate) fn fetch_options(args: &FetchArgs, request_folder: &Path, output: &Output) -> Outcome<FetchOptions> {
    let endpoints = Endpoints::from_environment(request_folder);
    endpoints.unread.iter().for_each(|text| output.warn(text));
    let cache = match (&args.cache, home::user_home()) {
        (Some(cache), _) => home::absolute(cache)?,
        (None, Some(home)) => match std::env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty()) {
            Some(cache) => PathBuf::from(cache).join("fieldforge"),
            None => home.join(".cache").join("fieldforge"),
        },
        (None, None) => {
            return Err(
                Failure::new("there is no home folder to keep downloads in").with_hint("say where: --cache DIR")
            );
        }
    };
    Ok(FetchOptions {
        from: args.from.clone(),
        ca_file: args.ca_file.clone(),
        offline: args.offline,
        tokens: Tokens::from_environment(&endpoints, token_file().as_deref())?,
        endpoints,
        ..FetchOptions::new(cache)
    })
}
