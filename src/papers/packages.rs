//! Licence texts inside packages: wheels and archives of npm.

use bundler::{Content, PackFile};
use std::io::{BufReader, Read as _};

/// Longer files are no licence.
const LONGEST: u64 = 256 << 10;
/// More of them are not taken from one component.
const MOST: usize = 16;
/// What an archive may unpack to while it is searched, in bytes.
const MOST_UNPACKED: u64 = 4 << 30;

/// The licence files in a component's packages: names and texts.
pub(crate) fn licence_files<'a>(files: impl Iterator<Item = &'a PackFile>) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    for file in files {
        let name = file.path.file_name().to_lowercase();
        let texts = match &file.content {
            Content::Disk(_) if name.ends_with(".whl") || name.ends_with(".zip") => in_zip(file),
            Content::Disk(_) if name.ends_with(".tgz") || name.ends_with(".tar.gz") => in_tar(file),
            _ => None,
        };
        // A package that cannot be read has no licence that could be shown; it travels as it is.
        for (name, text) in texts.unwrap_or_default() {
            if found.len() < MOST && !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                found.push((name, text));
            }
        }
    }
    found
}

fn in_zip(file: &PackFile) -> Option<Vec<(String, Vec<u8>)>> {
    let mut archive = zip::ZipArchive::new(BufReader::new(file.content.open().ok()?)).ok()?;
    let mut found = Vec::new();
    for at in 0..archive.len() {
        let Ok(mut member) = archive.by_index_raw(at) else { continue };
        let name = member.name().ok().and_then(|path| paper_name(&path));
        let Some(name) = name.filter(|_| member.size() <= LONGEST) else { continue };
        let mut text = Vec::new();
        let read = match member.compression() {
            zip::CompressionMethod::Stored => member.take(LONGEST).read_to_end(&mut text),
            _ => flate2::read::DeflateDecoder::new(&mut member).take(LONGEST).read_to_end(&mut text),
        };
        if read.is_ok() {
            found.push((name, text));
        }
    }
    Some(found)
}

fn in_tar(file: &PackFile) -> Option<Vec<(String, Vec<u8>)>> {
    let unpacked = flate2::read::GzDecoder::new(BufReader::new(file.content.open().ok()?)).take(MOST_UNPACKED);
    let mut archive = tar::Archive::new(unpacked);
    let mut found = Vec::new();
    for member in archive.entries().ok()? {
        let Ok(member) = member else { break };
        let Some(name) = member.path().ok().and_then(|path| paper_name(path.to_str()?)) else { continue };
        if member.header().entry_type().is_file() && member.size() <= LONGEST && found.len() < MOST {
            let mut text = Vec::new();
            if member.take(LONGEST).read_to_end(&mut text).is_ok() {
                found.push((name, text));
            }
        }
    }
    Some(found)
}

/// The name of a licence file without its folders; nothing for other files, and for those of what is bundled deep inside.
fn paper_name(path: &str) -> Option<String> {
    let mut parts = path.rsplit('/');
    let name = parts.next()?;
    let lower = name.to_lowercase();
    let begins = ["license", "licence", "copying", "notice", "copyright"].iter().any(|word| lower.starts_with(word));
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    let shallow = parts.count() <= 3 && !path.contains("node_modules");
    let text = matches!(lower.rsplit_once('.').map(|(_, ending)| ending), None | Some("txt" | "md" | "rst"));
    (begins && plain && shallow && text && name.len() <= 80 && !lower.ends_with('.')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifest::Sha256;
    use std::io::Write as _;

    fn packed(folder: &std::path::Path, name: &str, bytes: &[u8]) -> PackFile {
        let path = folder.join(name);
        fs_err::write(&path, bytes).unwrap();
        PackFile {
            path: format!("parts/x/{name}").parse().unwrap(),
            component: "x".parse().unwrap(),
            content: Content::Disk(path),
            size: bytes.len() as u64,
            sha256: Sha256::of(bytes),
            surveyed: None,
        }
    }

    #[test]
    fn licences_are_found_in_archives_of_npm_and_damaged_ones_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (path, text) in
            [("package/LICENSE", "mine"), ("package/index.js", "code"), ("package/node_modules/y/LICENSE", "theirs")]
        {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        let whole = archive.into_inner().unwrap().finish().unwrap();
        let file = packed(folder.path(), "x-1.0.tgz", &whole);
        assert_eq!(licence_files([&file].into_iter()), [("LICENSE".to_owned(), b"mine".to_vec())]);
        for length in 0..whole.len() {
            let _ = licence_files([&packed(folder.path(), "x-1.0.tgz", &whole[..length])].into_iter());
        }
    }

    #[test]
    fn licences_are_found_in_wheels() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (path, text) in [("x/__init__.py", "code"), ("x-1.0.dist-info/licenses/LICENSE.txt", "mine")] {
            archive.start_file(path, stored).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        let whole = archive.finish().unwrap().into_inner();
        let file = packed(folder.path(), "x-1.0-py3-none-any.whl", &whole);
        assert_eq!(licence_files([&file].into_iter()), [("LICENSE.txt".to_owned(), b"mine".to_vec())]);
        for length in 0..whole.len() {
            let _ = licence_files([&packed(folder.path(), "x-1.0.whl", &whole[..length])].into_iter());
        }
    }

    #[test]
    fn only_licences_are_licences() {
        for path in ["LICENSE", "package/LICENCE.md", "x.dist-info/licenses/COPYING", "NOTICE.txt"] {
            assert!(paper_name(path).is_some(), "{path}");
        }
        for path in ["license.py", "a/b/c/d/e/LICENSE", "README", "LICENSE/", "a/LICENSE x", "licenses.json"] {
            assert!(paper_name(path).is_none(), "{path}");
        }
    }
}
