//! ComfyUI's own frontend below `/comfy/`, where a home has it.
//!
//! It is a part of its own, under the GPL, and its wheel stays as it was installed: files go out straight from the
//! archive. Nothing is unpacked, so nothing can be half unpacked, and every byte stays one of the manifest. What lies
//! deflated in a wheel is the inside of a gzip stream, so most answers cost no computing either.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Mutex;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use zip::{CompressionMethod, ZipArchive};

use crate::http::{Body, Call, Reply};
use crate::lock::lock;
use crate::page;

/// Where the files for browsers lie in the wheel.
const STATIC: &str = "/static/";
/// Larger files are not sent, in bytes; the largest of 1.58.1 has 11.5 MB.
const LARGEST: u64 = 64 << 20;
/// gzip's head: deflated, no name, no time, system unknown (RFC 1952, 2.3).
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// An open wheel.
#[derive(Debug)]
pub(crate) struct Frontend {
    archive: Mutex<ZipArchive<BufReader<fs_err::File>>>,
    files: HashMap<String, File>,
    /// What its page may load and run.
    policy: String,
}

/// A file in the wheel.
#[derive(Debug, Clone, Copy)]
struct File {
    index: usize,
    deflated: bool,
    size: u64,
    crc: u32,
}

impl Frontend {
    /// Opens a wheel of the package `comfyui-frontend-package`.
    ///
    /// # Errors
    /// Says what is wrong with the file.
    pub(crate) fn open(wheel: &Path) -> io::Result<Self> {
        let bad = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
        let mut archive = ZipArchive::new(BufReader::new(fs_err::File::open(wheel)?))
            .map_err(|error| bad(format!("it is no zip archive: {error}")))?;
        let mut files = HashMap::new();
        for index in 0..archive.len() {
            let Ok(member) = archive.by_index_raw(index) else { continue };
            // Wheels know no other way; a file packed in another one fails its sum and is not sent.
            let deflated = member.compression() != CompressionMethod::Stored;
            let file = File { index, deflated, size: member.size(), crc: member.crc32() };
            let name = member.name().ok().and_then(|name| name.split_once(STATIC).map(|(_, name)| name.to_owned()));
            // Source maps are two thirds of it, and for its makers.
            let name = name.filter(|name| !name.is_empty() && !name.ends_with(['/']) && !name.ends_with(".map"));
            if let Some(name) = name.filter(|_| file.size <= LARGEST) {
                files.insert(name, file);
            }
        }
        let mut frontend = Self { archive: Mutex::new(archive), files, policy: String::new() };
        let index = frontend.files.get("index.html").copied();
        let index = index.ok_or_else(|| bad("it holds no static/index.html".to_owned()))?;
        frontend.policy = policy(&String::from_utf8_lossy(&frontend.plain(index)?));
        Ok(frontend)
    }

    /// Answers GET for a decoded path such as `assets/index-1a2b.js`; the empty path is the page. `None` for what is no
    /// file of the frontend.
    pub(crate) fn serve(&self, path: &str, call: &Call<'_>) -> Option<Reply> {
        let name = if path.is_empty() { "index.html" } else { path };
        let file = *self.files.get(name)?;
        let gzip = file.deflated && call.header_values("accept-encoding").any(takes_gzip);
        let etag = format!("\"{:08x}-{:x}{}\"", file.crc, file.size, if gzip { "-gz" } else { "" });
        // Names below assets/ carry a hash of their content, but for a few: those are asked for again.
        let cache = if name.starts_with("assets/") && name.ends_with(".js") {
            "private, max-age=31536000, immutable"
        } else {
            "private, no-cache"
        };
        if page::matches(call, &etag) {
            return Some(Reply::empty(304).header("ETag", etag).header("Cache-Control", cache));
        }
        let bytes = if gzip { self.gzipped(file) } else { self.plain(file) };
        let Ok(bytes) = bytes else {
            let error = crate::api_error::ApiError::new(500, "internal", "a file of ComfyUI's frontend cannot be read")
                .hint("run `fieldforge verify`, and install its bundle again");
            return Some(error.into());
        };
        let reply = Reply::new(200, page::content_type(name), Body::Bytes(bytes))
            .header("ETag", etag)
            .header("Cache-Control", cache)
            .header("Vary", "Accept-Encoding")
            .header("Content-Security-Policy", self.policy.clone());
        Some(if gzip { reply.header("Content-Encoding", "gzip") } else { reply })
    }

    /// A file as it lies in the archive.
    fn raw(&self, file: File) -> io::Result<Vec<u8>> {
        let mut archive = lock(&self.archive);
        let member = archive.by_index_raw(file.index).map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        member.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn gzipped(&self, file: File) -> io::Result<Vec<u8>> {
        let mut bytes = GZIP_HEAD.to_vec();
        bytes.append(&mut self.raw(file)?);
        bytes.extend_from_slice(&file.crc.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(file.size).unwrap_or(u32::MAX).to_le_bytes());
        Ok(bytes)
    }

    fn plain(&self, file: File) -> io::Result<Vec<u8>> {
        let raw = self.raw(file)?;
        let mut bytes = Vec::new();
        if file.deflated {
            flate2::read::DeflateDecoder::new(raw.as_slice()).take(LARGEST).read_to_end(&mut bytes)?;
        } else {
            bytes = raw;
        }
        if crc32fast::hash(&bytes) == file.crc { Ok(bytes) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

fn takes_gzip(value: &str) -> bool {
    let named = |part: &str| part.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("gzip"));
    value.split(',').any(|part| named(part) && !part.replace(' ', "").ends_with(";q=0"))
}

/// As strict as the frontend allows: it makes style elements and workers and compiles WebAssembly while it runs, and gets
/// nothing from other origins.
/// Its inline scripts are known by their digests.
fn policy(html: &str) -> String {
    let mut scripts = String::new();
    for part in html.split("<script").skip(1) {
        let Some((attributes, rest)) = part.split_once('>') else { continue };
        let Some((text, _)) = rest.split_once("</script>") else { continue };
        if !attributes.contains("src=") {
            scripts.push_str(&format!(" 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()))));
        }
    }
    format!(
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'{scripts}; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; \
         connect-src 'self'; object-src 'none'; frame-src 'none'; frame-ancestors 'none'; base-uri 'none'; \
         form-action 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_scripts_are_known_by_digest() {
        let policy = policy("<script type=\"module\" src=\"./a.js\"></script><script>go()</script>");
        let digest = BASE64_STANDARD.encode(Sha256::digest(b"go()"));
        assert!(policy.contains(&format!("script-src 'self' 'wasm-unsafe-eval' 'sha256-{digest}';")), "{policy}");
        assert_eq!(policy.matches("sha256-").count(), 1);
        assert!(!policy.contains("http"), "{policy}");
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (value, takes) in [("gzip, deflate, br", true), ("GZIP;q=0.5", true), ("br, gzip; q=0", false), ("", false)]
        {
            assert_eq!(takes_gzip(value), takes, "{value}");
        }
    }
}
