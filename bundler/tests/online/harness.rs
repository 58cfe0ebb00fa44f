//! What the tests have in common.

use bundler::{
    BundlePlan, Content, Endpoints, FetchError, FetchOptions, Fetched, PlanError, PlanInput, Policy, Timeouts, fetch,
    plan,
};
use manifest::{Catalog, Lock, Request, Sha256, Silent};
use std::path::PathBuf;
use std::time::Duration;
use testkit::sandbox::Sandbox;

/// One request, one cache.
pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) options: FetchOptions,
    pub(crate) trust: bool,
    pub(crate) lock: Option<Lock>,
    components: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::new();
        let mut options = FetchOptions::new(sandbox.root().join("cache"));
        options.timeouts = Timeouts {
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(3),
            tries: 4,
            backoff: Duration::from_millis(5),
            longest_backoff: Duration::from_millis(20),
            longest_wait: Duration::from_secs(3),
        };
        Self { sandbox, options, trust: false, lock: None, components: String::new() }
    }

    /// Everything that `npm`, `pypi` and the hubs mean is on this server.
    pub(crate) fn all_on(&mut self, server: &testkit::server::Server) {
        let root = server.url("");
        self.options.endpoints = Endpoints {
            npm: format!("{root}/"),
            pypi: vec![format!("{root}/simple/")],
            huggingface: root.clone(),
            civitai: root.clone(),
            github: root,
            ..Endpoints::default()
        };
    }

    /// Asks for a component: `more` holds further fields, `sources` the inside of the list.
    pub(crate) fn component(&mut self, id: &str, kind: &str, file: &str, more: &str, sources: &str) -> &mut Self {
        self.components.push_str(&format!(
            "[[component]]\nid = '{id}'\nkind = '{kind}'\ntitle = '{id}'\nlicence = 'MIT'\nfile = '{file}'\n{more}\nsources = [{sources}]\n"
        ));
        self
    }

    /// Asks for a checkpoint with a stated digest from one address.
    pub(crate) fn checkpoint(&mut self, bytes: &[u8], url: &str) -> &mut Self {
        self.component("model", "checkpoint", "model.safetensors", &stated(bytes), &https(url))
    }

    pub(crate) fn plan(&self) -> Result<BundlePlan, PlanError> {
        let request = Request::parse("forge.toml", &format!("name = 'kit'\n{}", self.components)).unwrap();
        plan(PlanInput {
            catalog: &Catalog::default(),
            request: &request,
            request_folder: self.sandbox.root(),
            lock: self.lock.as_ref(),
            builtins: &[],
            policy: Policy { trust_on_first_use: self.trust },
        })
    }

    pub(crate) fn fetch(&self) -> Result<Fetched, FetchError> {
        fetch(&self.plan().unwrap(), &self.options, &Silent)
    }

    /// Fetches, and returns message and hint of the failure.
    pub(crate) fn refusal(&self) -> (String, String) {
        let error = self.fetch().expect_err("the fetch must fail");
        assert!(self.finished().is_empty(), "nothing has its final name");
        (error.to_string(), error.hint().expect("every failure has a hint"))
    }

    /// Files under their final names.
    pub(crate) fn finished(&self) -> Vec<PathBuf> {
        files(&self.options.cache.join("sha256"))
    }

    /// Unfinished files.
    pub(crate) fn unfinished(&self) -> Vec<PathBuf> {
        let mut found = files(&self.options.cache.join("partial"));
        found.retain(|path| path.extension().is_none_or(|ending| ending != "lock"));
        found
    }
}

fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The bytes of the only file.
pub(crate) fn only(fetched: &Fetched) -> Vec<u8> {
    assert_eq!(fetched.files.len(), 1);
    match &fetched.files[0].content {
        Content::Disk(path) => fs_err::read(path).unwrap(),
        Content::Memory(bytes) => bytes.to_vec(),
        Content::Bytes(bytes) => bytes.to_vec(),
    }
}

pub(crate) fn https(url: &str) -> String {
    format!("{{ kind = 'https', url = '{url}' }}")
}

pub(crate) fn stated(bytes: &[u8]) -> String {
    format!("sha256 = '{}'\nsize = {}", Sha256::of(bytes), bytes.len())
}

pub(crate) fn digest_only(bytes: &[u8]) -> String {
    format!("sha256 = '{}'", Sha256::of(bytes))
}

/// Bytes that look random and are the same every time.
pub(crate) fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// A file in safetensors form of about that size.
pub(crate) fn weights(size: usize, seed: u64) -> Vec<u8> {
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{size}],"data_offsets":[0,{size}]}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(noise(size, seed));
    bytes
}

pub(crate) const MIB: usize = 1 << 20;
